//! What listeners may not do, whatever each key says for itself.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::Server;
use super::address;
use super::reader::Reader;

/// Notes every listener that others can reach although nobody said so, every
/// two in one place, and that there is none at all.
pub fn check(r: &mut Reader, server: &Server) {
    let listeners = || {
        let grpc = server.grpc.iter().map(|address| ("server.grpc", *address));
        grpc.chain(server.http.map(|address| ("server.http", address)))
    };
    let mut taken: BTreeSet<SocketAddr> = BTreeSet::new();
    for (path, address) in listeners() {
        if !server.insecure && !address::is_local(address) {
            r.refuse(
                path,
                Some(address.to_string()),
                "can be reached from other machines, without TLS and by unknown callers",
                "listen on 127.0.0.1 or a unix socket, or set `server.insecure = true` (`--insecure`) where everyone who reaches the server may ask, read, and write entities and links, such as behind a mesh that lets in nobody else",
            );
        }
        // Port 0 lets the system choose, every time another.
        if address.port() != 0 && !taken.insert(address) {
            r.refuse(
                path,
                Some(address.to_string()),
                "is listened on already",
                "give every listener a port of its own",
            );
        }
    }
    let was_read = !r
        .faults
        .iter()
        .any(|fault| fault.key == "server.grpc" || fault.key == "server.unix");
    if was_read && server.grpc.is_empty() && server.unix.is_empty() {
        r.refuse(
            "server.grpc",
            None,
            "leaves nothing to serve on: `server.unix` is empty too",
            "give an address or a unix socket",
        );
    }
}
