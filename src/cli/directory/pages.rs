//! All pages of a list, one after the other.

use tonic::transport::Channel;

use super::client;
use crate::cli::Failure;
use crate::cli::server::ServerAddress;
use crate::cli::server::in_time;
use crate::cli::server::refused;
use crate::proto::v1;
use crate::proto::v1::directory_service_client::DirectoryServiceClient;
use crate::proto::v1::list_request::Filter;

/// A list under way.
#[derive(Debug)]
pub struct Pages {
    client: DirectoryServiceClient<Channel>,
    request: Option<v1::ListRequest>,
}

impl Pages {
    /// Connects.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn new(server: &ServerAddress, filter: Filter) -> Result<Self, Failure> {
        let request = v1::ListRequest {
            filter: Some(filter),
            // As many as the server gives.
            page_size: u32::MAX,
            ..v1::ListRequest::default()
        };
        Ok(Self {
            client: client(server).await?,
            request: Some(request),
        })
    }

    /// The next page; `None` behind the last.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn next(&mut self) -> Result<Option<v1::ListResponse>, Failure> {
        let Some(request) = self.request.take() else {
            return Ok(None);
        };
        let page = self.client.list(in_time(request.clone())).await;
        let page = page.map_err(|status| refused(&status))?.into_inner();
        if !page.next_page_token.is_empty() {
            self.request = Some(v1::ListRequest {
                page_token: page.next_page_token.clone(),
                ..request
            });
        }
        Ok(Some(page))
    }
}
