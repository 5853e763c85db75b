//! Asks Deodar on behalf of a device, a person and a service.
//!
//! ```text
//! cargo run -p deodar-example                              # http://127.0.0.1:8470
//! cargo run -p deodar-example -- unix:/run/deodar.sock
//! ```
//!
//! Made from the protos alone: copy this package and `proto/` and you have a
//! client. The questions are about the world of the reference policies.

mod ask;
mod questions;

use std::error::Error;
use std::time::Duration;

use tonic::transport::Endpoint;

use protos::deodar::v1::authorization_service_client::AuthorizationServiceClient;

/// What the build script generated.
mod protos {
    #![allow(clippy::pedantic, clippy::doc_markdown, reason = "generated code")]
    include!(concat!(env!("OUT_DIR"), "/protos.rs"));
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "http://127.0.0.1:8470".to_owned());
    // Connect once and keep the channel: it is cheap to clone, and many calls
    // share its connection.
    let channel = Endpoint::from_shared(address.clone())?
        .connect_timeout(Duration::from_secs(2))
        .connect()
        .await
        .map_err(|error| {
            format!("cannot reach deodar at {address}: {error}; start it with `deodar serve`")
        })?;
    let mut client = AuthorizationServiceClient::new(channel);
    for question in questions::all() {
        println!("{}", question.title);
        let permitted = ask::ask(&mut client, question.request).await?;
        println!(
            "  so the enforcement point {}\n",
            if permitted {
                "lets it happen"
            } else {
                "refuses"
            }
        );
    }
    Ok(())
}
