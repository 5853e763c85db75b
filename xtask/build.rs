//! The messages of `proto/`, for the load generator and the echo server: made
//! apart from the server's own, so that measuring needs nothing of its code.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=../proto");
    let protos = ["deodar/v1/authorization.proto", "deodar/v1/policy.proto"];
    tonic_prost_build::configure()
        .btree_map(".")
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .compile_fds(protox::compile(protos, ["../proto"])?)?;
    Ok(())
}
