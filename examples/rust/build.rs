//! Compiles the protos in pure Rust: no protoc needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // In a project of your own: a copy of Deodar's `proto/` directory.
    let protos = "../../proto";
    println!("cargo:rerun-if-changed={protos}");
    let descriptors = protox::compile(["deodar/v1/authorization.proto"], [protos])?;
    tonic_prost_build::configure()
        .build_server(false)
        .include_file("protos.rs")
        .compile_fds(descriptors)?;
    Ok(())
}
