//! Whoever reaches the port can do nothing but read what it tells, and nobody can keep others from that.

use std::time::Duration;

use anyhow::Result;
use integration::SOON;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::http::request;
use crate::place::Place;

const PATHS: [&str; 7] = ["/", "/page.css", "/page.js", "/live", "/ready", "/metrics", "/members"];

#[tokio::test]
async fn every_answer_is_fresh_bound_to_its_page_and_without_secrets() -> Result<()> {
    let place = Place::new().await?;
    let mut node = place.joined().await?;
    let _beam = place.beam("beam", &mut node).await?;
    for path in PATHS {
        let response = node.get(path).await?;
        assert_eq!(response.status, 200, "{path}");
        assert_eq!(response.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{path}");
        let policy = response.header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(response.header("access-control-allow-origin"), None, "{path}");
        place.assert_no_secret(&format!("{response:?}"));
        // HEAD is the same without the body.
        let admin = node.admin;
        let head =
            request(admin, &format!("HEAD {path} HTTP/1.1\r\nHost: {admin}\r\n\r\n")).await?;
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        assert_eq!(head.header("content-type"), response.header("content-type"), "{path}");
    }
    place.assert_no_secret(&node.joined.stderr());
    Ok(())
}

#[tokio::test]
async fn what_is_not_a_question_is_refused() -> Result<()> {
    let place = Place::new().await?;
    let node = place.joined().await?;
    let admin = node.admin;
    let ask = async |head: String| request(admin, &head).await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let response = ask(format!("{method} /ready HTTP/1.1\r\nHost: {admin}\r\n\r\n")).await?;
        assert_eq!(
            (response.status, response.header("allow")),
            (405, Some("GET, HEAD")),
            "{method}"
        );
    }
    assert_eq!(node.get("/etc/passwd").await?.status, 404);
    assert_eq!(node.get("/../members").await?.status, 404);
    // A page that made its own name lead here must not be able to read this.
    for host in ["evil.example", "evil.example:80"] {
        let response = ask(format!("GET /members HTTP/1.1\r\nHost: {host}\r\n\r\n")).await?;
        assert_eq!(response.status, 421, "{host}");
    }
    let port = admin.port();
    let response = ask(format!("GET /live HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n")).await?;
    assert_eq!(response.status, 200);
    // No HTTP, too long, and too many lines.
    assert_eq!(ask("hello\r\n\r\n".into()).await?.status, 400);
    let long = "x".repeat(100_000);
    let response = ask(format!("GET /{long} HTTP/1.1\r\nHost: {admin}\r\n\r\n")).await;
    assert!(response.is_err() || response.is_ok_and(|it| (400..=431).contains(&it.status)));
    let many: String = (0..200).map(|number| format!("X-{number}: y\r\n")).collect();
    let response = ask(format!("GET /live HTTP/1.1\r\nHost: {admin}\r\n{many}\r\n")).await?;
    assert_eq!(response.status, 431);
    // A body is not read, however long it claims to be.
    let body = format!("GET /live HTTP/1.1\r\nHost: {admin}\r\nContent-Length: 99999999\r\n\r\n");
    assert_eq!(ask(body).await?.status, 200);
    assert_eq!(node.get("/live").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn those_who_stall_keep_nobody_out_and_are_closed() -> Result<()> {
    let place = Place::new().await?;
    let node = place.joined().await?;
    let mut stalled = Vec::new();
    for number in 0..300_u32 {
        let mut stream = TcpStream::connect(node.admin).await?;
        // Some say nothing, some half a request.
        if number % 2 == 0 {
            stream.write_all(b"GET /members HTTP/1.1\r\nHost: local").await?;
        }
        stalled.push(stream);
        if number % 50 == 0 {
            assert_eq!(node.get("/live").await?.status, 200);
        }
    }
    assert_eq!(node.get("/ready").await?.status, 200);
    // Each is closed, the last too: within the time for a head.
    for mut stream in stalled {
        let mut bytes = Vec::new();
        // A reset is a close as well.
        let closed = timeout(SOON + Duration::from_secs(5), stream.read_to_end(&mut bytes)).await;
        assert!(closed.is_ok(), "a connection stays open");
    }
    Ok(())
}
