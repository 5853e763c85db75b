//! Addresses to listen on.

use std::net::SocketAddr;

use super::fault::Refusal;

/// Parses an IP address with a port.
///
/// Names are not looked up: what a name means may change between the check
/// here and the listening, and with it who can reach the server.
///
/// # Errors
/// When it is not an address with a port.
pub fn parse(text: &str) -> Result<SocketAddr, Refusal> {
    text.parse().map_err(|_| {
        let hint = match text.rsplit_once(':') {
            Some(("localhost", port)) => {
                format!("write `127.0.0.1:{port}` or `[::1]:{port}`: names are not looked up")
            }
            Some(("", port)) => {
                format!("write `127.0.0.1:{port}`, or `0.0.0.0:{port}` for every interface")
            }
            _ => "write an IP address and a port: `127.0.0.1:8470` or `[::1]:8470`".to_owned(),
        };
        Refusal::new("is not an address to listen on", hint)
    })
}

/// Whether only this machine can reach it.
pub fn is_local(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::is_local;
    use super::parse;

    #[test]
    fn loopback_is_local_and_nothing_else() {
        for text in [
            "127.0.0.1:1",
            "127.8.8.8:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(is_local(parse(text).unwrap()), "{text}");
        }
        for text in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[::ffff:10.0.0.1]:1"] {
            assert!(!is_local(parse(text).unwrap()), "{text}");
        }
    }

    #[test]
    fn names_and_bare_ports_are_refused_with_what_to_write() {
        assert!(
            parse("localhost:84")
                .unwrap_err()
                .hint
                .starts_with("write `127.0.0.1:84`")
        );
        assert!(parse(":84").unwrap_err().hint.contains("0.0.0.0:84"));
        assert!(parse("127.0.0.1").is_err());
        assert!(parse("127.0.0.1:99999").is_err());
    }
}
