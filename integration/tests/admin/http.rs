//! HTTP as plain as it can be, so that it can also be wrong.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use integration::SOON;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// Their names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

pub async fn get(addr: SocketAddr, path: &str) -> Result<Response> {
    request(addr, &format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n")).await
}

/// Sends these bytes and reads the answer until the connection is closed.
pub async fn request(addr: SocketAddr, request: &str) -> Result<Response> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    timeout(SOON, stream.read_to_end(&mut bytes)).await.context("no answer")??;
    parse(&String::from_utf8(bytes)?)
}

fn parse(text: &str) -> Result<Response> {
    let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("no head: {text:?}"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status")?;
    let headers = lines.filter_map(|line| line.split_once(": "));
    Ok(Response {
        status: status.parse()?,
        headers: headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect(),
        body: body.to_owned(),
    })
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}
