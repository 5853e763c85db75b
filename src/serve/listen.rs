//! Listeners: TCP and unix sockets as one stream of connections, with a limit.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::net::UnixListener;
use tokio::net::UnixStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::time::Sleep;
use tokio_stream::Stream;
use tonic::transport::server::Connected;

use crate::identity::Caller;
use crate::telemetry::Counters;
use crate::telemetry::events;

/// A bound socket.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket, removed when the listener goes.
    Unix(UnixListener, SocketFile),
}

/// The file of a unix socket.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody else may have removed it; nothing hangs on that.
        std::fs::remove_file(&self.0).ok();
    }
}

impl Listener {
    /// Listens on a TCP address.
    ///
    /// # Errors
    /// When the system refuses, for example because the port is taken.
    pub async fn tcp(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Self::Tcp)
    }

    /// Listens on a unix socket that only its owner's user and group may use.
    ///
    /// A socket file that nobody listens on any more, left by a process that
    /// was killed, is replaced; any other file is left alone.
    ///
    /// # Errors
    /// When somebody listens there, the path is another file, or the system
    /// refuses.
    pub fn unix(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::FileTypeExt as _;
        use std::os::unix::fs::PermissionsExt as _;
        if let Ok(metadata) = std::fs::symlink_metadata(path) {
            let is_dead = metadata.file_type().is_socket()
                && std::os::unix::net::UnixStream::connect(path).is_err();
            if !is_dead {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        let file = SocketFile(path.to_owned());
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
        Ok(Self::Unix(listener, file))
    }

    /// Where it listens, as people write it.
    pub fn place(&self) -> String {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|_| "tcp".to_owned(), |address| address.to_string()),
            Self::Unix(_, file) => format!("unix:{}", file.0.display()),
        }
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<(Socket, Caller)>> {
        match self {
            Self::Tcp(listener) => listener.poll_accept(context).map_ok(|(stream, address)| {
                // Answers are small; waiting to fill a packet only adds latency.
                stream.set_nodelay(true).ok();
                (Socket::Tcp(stream), Caller::Tcp(address))
            }),
            Self::Unix(listener, _) => listener.poll_accept(context).map_ok(|(stream, _)| {
                let uid = stream.peer_cred().ok().map(|credentials| credentials.uid());
                (Socket::Unix(stream), Caller::Unix(uid))
            }),
        }
    }
}

/// The connections of one listener. One that exceeds the limit, which all
/// listeners share, is closed at once.
#[derive(Debug)]
pub struct Incoming {
    listener: Listener,
    places: Arc<Semaphore>,
    places_max: usize,
    counters: Arc<Counters>,
    /// Set while accepting rests after a fault of the system.
    rest: Option<Pin<Box<Sleep>>>,
}

/// How long accepting rests when the system refuses: out of file descriptors,
/// say. Trying again at once would only keep a core busy.
const REST: Duration = Duration::from_millis(100);

impl Incoming {
    /// Takes connections while there are places.
    pub fn new(
        listener: Listener,
        places: Arc<Semaphore>,
        places_max: usize,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            listener,
            places,
            places_max,
            counters,
            rest: None,
        }
    }
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(rest) = &mut self.rest {
                match rest.as_mut().poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => self.rest = None,
                }
            }
            let (socket, caller) = match self.listener.poll_accept(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(accepted)) => accepted,
                Poll::Ready(Err(error)) => {
                    events::accept_failed(&error);
                    self.rest = Some(Box::pin(tokio::time::sleep(REST)));
                    continue;
                }
            };
            match Arc::clone(&self.places).try_acquire_owned() {
                Ok(place) => {
                    return Poll::Ready(Some(Ok(Connection {
                        socket,
                        caller,
                        _place: place,
                    })));
                }
                Err(_) => {
                    events::connection_refused(&self.counters, self.places_max);
                    drop(socket);
                }
            }
        }
    }
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// An accepted connection, which holds its place until it is closed.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    caller: Caller,
    _place: OwnedSemaphorePermit,
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Socket::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Socket::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Socket::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Socket::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
