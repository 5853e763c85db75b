//! Collectors of telemetry, good and bad, in this process: their CPU is not that
//! of the server.

use std::io;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

/// How a collector treats what it is sent over `http/protobuf`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Takes it after so long.
    TakesAfter(Duration),
    /// Accepts connections, and neither reads nor answers.
    Mute,
}

/// Nobody listens at this port of a privileged service: connections are refused.
pub(crate) const REFUSED: &str = "http://127.0.0.1:1";

/// A collector, until it is dropped.
pub(crate) struct Collector {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl Collector {
    /// Begins to listen.
    pub(crate) fn listen(manner: Manner) -> Result<Self, String> {
        let fault = |error: io::Error| format!("a collector: {error}");
        let listener = TcpListener::bind("127.0.0.1:0").map_err(fault)?;
        let address = listener.local_addr().map_err(fault)?;
        let stopped = Arc::new(AtomicBool::new(false));
        let is_stopped = Arc::clone(&stopped);
        thread::spawn(move || {
            let mut held = Vec::new();
            for connection in listener.incoming() {
                if is_stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(connection) = connection else { continue };
                match manner {
                    Manner::Mute => held.push(connection),
                    // Ends with the connection, which ends with the server.
                    Manner::TakesAfter(delay) => {
                        thread::spawn(move || take(&connection, delay));
                    }
                }
            }
        });
        Ok(Self { address, stopped })
    }

    /// What servers are told.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        TcpStream::connect(self.address).ok();
    }
}

/// Takes requests until the connection ends.
fn take(connection: &TcpStream, delay: Duration) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection);
    let mut body = Vec::new();
    while let Some(length) = head(&mut reader)? {
        body.clear();
        reader.by_ref().take(length).read_to_end(&mut body)?;
        thread::sleep(delay);
        let answer =
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
        (&*connection).write_all(answer.as_bytes())?;
    }
    Ok(())
}

/// The length of the body that follows; `None` at the end.
fn head(reader: &mut impl io::BufRead) -> io::Result<Option<u64>> {
    let mut length = 0;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        let text = line.trim().to_ascii_lowercase();
        if text.is_empty() {
            return Ok(Some(length));
        }
        if let Some(number) = text.strip_prefix("content-length:") {
            length = number.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::head;

    #[test]
    fn requests_are_told_apart_by_their_lengths() {
        let mut text: &[u8] = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n";
        assert_eq!(head(&mut text).ok().flatten(), Some(3));
        assert_eq!(head(&mut text).ok(), Some(None));
    }
}
