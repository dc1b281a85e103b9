//! Server, client and registrar with each other and with peers that misbehave. Real EPMDs are in `integration/`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;

const DEADLINE: Duration = Duration::from_secs(30);
const LOCALHOST: &str = "127.0.0.1";

/// A port that is free, and little patience.
fn config() -> Config {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    Config {
        addresses: vec![Ipv4Addr::LOCALHOST.into()],
        retry: Duration::from_millis(100),
        take_over: Duration::from_millis(200),
        patience: Duration::from_millis(300),
        ..Config::with_port(listener.local_addr().unwrap().port())
    }
}

async fn connect(port: u16) -> TcpStream {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap()
}

fn framed(request: &[u8]) -> Vec<u8> {
    [&u16::try_from(request.len()).unwrap().to_be_bytes(), request].concat()
}

async fn read_all(mut stream: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    answer
}

/// Sends a request and reads until the server closes.
async fn ask(port: u16, request: &[u8]) -> Vec<u8> {
    let mut stream = connect(port).await;
    stream.write_all(&framed(request)).await.unwrap();
    read_all(stream).await
}

fn alive2(name: &[u8], highest: u8) -> Vec<u8> {
    let head = [120, 0x1e, 0x61, 77, 0, 0, highest, 0, 5, 0, u8::try_from(name.len()).unwrap()];
    [&head, name, &[0, 0]].concat()
}

/// Registers and yields the connection and the answer.
async fn register(port: u16, name: &str, highest: u8) -> (TcpStream, Vec<u8>) {
    let mut stream = connect(port).await;
    stream.write_all(&framed(&alive2(name.as_bytes(), highest))).await.unwrap();
    let mut answer = vec![0; if highest >= 6 { 6 } else { 4 }];
    timeout(DEADLINE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    (stream, answer)
}

async fn eventually(what: &str, mut probe: impl AsyncFnMut() -> bool) {
    let poll = async {
        while !probe().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(DEADLINE, poll).await.is_ok(), "waited in vain for {what}");
}

#[tokio::test]
async fn answers_as_epmd_does() {
    let config = config();
    let port = config.port;
    let server = Server::start(&config).unwrap();
    assert!(server.addrs().contains(&SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
    assert_eq!(names(LOCALHOST, port).await.unwrap(), []);

    let (held, answer) = register(port, "a", 6).await;
    assert_eq!(answer[..2], [118, 0]);
    let creation = u32::from_be_bytes(answer[2..].try_into().unwrap());
    assert!(creation > 3);
    let (_old, answer) = register(port, "old", 5).await;
    assert_eq!(answer[..3], [121, 0, 0]);
    assert!((1..=3).contains(&answer[3]));

    let (_, answer) = register(port, "a", 6).await;
    assert_eq!(answer[..2], [118, 1], "the name is taken");
    let (_, answer) = register(port, "a", 5).await;
    assert_eq!(answer[..2], [121, 1], "the name is taken");

    assert_eq!(ask(port, b"za").await, b"w\x00\x1e\x61M\x00\x00\x06\x00\x05\x00\x01a\x00\x00");
    assert_eq!(ask(port, b"za\0").await[..2], [119, 0], "an old client ends the name with NUL");
    assert_eq!(ask(port, b"zb").await, [119, 1]);
    assert_eq!(ask(port, b"n").await[4..], *b"name a at port 7777\nname old at port 7777\n");
    assert_eq!(ask(port, b"n").await[..4], u32::from(port).to_be_bytes());
    let dump = ask(port, b"d").await;
    assert!(dump[4..].starts_with(b"active name     <a> at port 7777, fd = "), "{dump:?}");
    assert_eq!(ask(port, b"k").await, b"NO");
    assert_eq!(ask(port, b"sa").await, b"");
    assert_eq!(lookup(LOCALHOST, port, "a").await.unwrap().port, 7777);

    // The registration ends with its connection, and the next one is another incarnation.
    drop(held);
    eventually("the name to be free", async || lookup(LOCALHOST, port, "a").await.is_err()).await;
    let (mut held, answer) = register(port, "a", 6).await;
    assert_ne!(u32::from_be_bytes(answer[2..].try_into().unwrap()), creation);
    held.write_all(b"x").await.unwrap();
    let closed = timeout(DEADLINE, held.read(&mut [0])).await.unwrap();
    assert!(matches!(closed, Ok(0) | Err(_)), "a registered node has nothing to say");

    server.close().await;
    let gone = lookup(LOCALHOST, port, "a").await;
    assert!(matches!(gone, Err(LookupError::Unreachable { .. })), "{gone:?}");
}

#[tokio::test]
async fn names_that_would_break_the_list_are_refused() {
    let config = config();
    let _server = Server::start(&config).unwrap();
    for name in [&b"a\nname b at port 1"[..], b"", b"\xff", b"a\0"] {
        assert_eq!(ask(config.port, &alive2(name, 6)).await[..2], [118, 1], "{name:?}");
    }
    assert_eq!(names(LOCALHOST, config.port).await.unwrap(), []);
}

#[tokio::test]
async fn a_second_server_is_told_that_the_port_is_taken() {
    let config = config();
    let server = Server::start(&config).unwrap();
    let everywhere = Config { addresses: Vec::new(), ..config.clone() };
    for config in [&config, &everywhere] {
        let error = Server::start(config).unwrap_err();
        assert!(matches!(error, ServeError::PortTaken { .. }), "{error}");
    }
    drop(server);
    eventually("the port", async || Server::start(&config).is_ok()).await;
}

#[tokio::test]
async fn an_address_of_another_host_does_not_keep_it_from_serving() {
    let config = Config { addresses: vec![[192, 0, 2, 1].into()], ..config() };
    let server = Server::start(&config).unwrap();
    assert!(server.addrs().iter().all(|addr| addr.ip().is_loopback()), "{:?}", server.addrs());
    assert_eq!(names(LOCALHOST, config.port).await.unwrap(), []);
}

#[tokio::test]
async fn a_flood_of_connections_is_bounded_and_shuts_nobody_out() {
    let config = Config { idle: DEADLINE, ..config() };
    let port = config.port;
    let _server = Server::start(&config).unwrap();
    let (_held, answer) = register(port, "a", 6).await;
    assert_eq!(answer[1], 0);

    let mut silent = Vec::new();
    for _ in 0..500 {
        silent.push(connect(port).await);
    }
    assert_eq!(lookup(LOCALHOST, port, "a").await.unwrap().port, 7777);
    assert_eq!(register(port, "b", 6).await.1[1], 0);

    // The oldest went. One of the 256 places is that of the registered node.
    for (i, stream) in silent.iter_mut().enumerate().take(500 - 255) {
        let closed = timeout(DEADLINE / 2, stream.read(&mut [0])).await;
        assert!(matches!(closed, Ok(Ok(0) | Err(_))), "connection {i} is still open");
    }
    let mut last = silent.pop().unwrap();
    last.write_all(b"\0\x01n").await.unwrap();
    assert!(read_all(last).await.ends_with(b"name a at port 7777\n"));
}

#[tokio::test]
async fn registered_nodes_are_never_dropped_for_others() {
    let config = Config { max_connections: 3, ..config() };
    let port = config.port;
    let _server = Server::start(&config).unwrap();
    let mut held = Vec::new();
    for name in ["a", "b", "c"] {
        held.push(register(port, name, 6).await.0);
    }
    let mut stream = connect(port).await;
    assert!(matches!(timeout(DEADLINE, stream.read(&mut [0])).await.unwrap(), Ok(0) | Err(_)));
    held.pop();
    eventually("room for a question", async || match names(LOCALHOST, port).await {
        Ok(names) => names == [("a".to_owned(), 7777), ("b".to_owned(), 7777)],
        Err(_) => false,
    })
    .await;
}

#[tokio::test]
async fn a_slow_request_is_cut_off() {
    let config = Config { idle: Duration::from_millis(300), ..config() };
    let _server = Server::start(&config).unwrap();
    let mut slow = connect(config.port).await;
    slow.write_all(&[0, 200, 122]).await.unwrap();
    let cut = async {
        for sent in 1.. {
            let pause = timeout(Duration::from_millis(20), slow.read(&mut [0])).await;
            if matches!(pause, Ok(Ok(0) | Err(_))) || slow.write_all(b"a").await.is_err() {
                return sent;
            }
        }
        0
    };
    assert!(timeout(DEADLINE, cut).await.unwrap() < 199, "the whole request was waited for");
}

#[tokio::test]
async fn a_length_that_no_request_has_is_not_waited_for() {
    let config = Config { idle: 10 * DEADLINE, ..config() };
    let _server = Server::start(&config).unwrap();
    for len in [[0, 0], [0xff, 0xff], [0x08, 0x06]] {
        let mut stream = connect(config.port).await;
        stream.write_all(&len).await.unwrap();
        assert_eq!(read_all(stream).await, []);
    }
}

#[test]
fn garbage_is_survived() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = config();
    let port = config.port;
    let _guard = runtime.enter();
    let _server = Server::start(&config).unwrap();
    let (_held, _) = runtime.block_on(register(port, "a", 6));
    let tags = prop::sample::select(vec![120u8, 122, 110, 100, 107, 115, 0, 255]);
    proptest!(ProptestConfig::with_cases(64), |(
        tag in tags,
        body in prop::collection::vec(any::<u8>(), 0..60),
        len in prop::option::of(0u16..70),
    )| {
        let mut request = framed(&[&[tag], body.as_slice()].concat());
        if let Some(len) = len {
            request[..2].copy_from_slice(&len.to_be_bytes());
        }
        runtime.block_on(async {
            let mut stream = connect(port).await;
            stream.write_all(&request).await.ok();
            stream.shutdown().await.ok();
            timeout(DEADLINE, stream.read_to_end(&mut Vec::new())).await.unwrap().ok();
        });
    });
    assert_eq!(runtime.block_on(lookup(LOCALHOST, port, "a")).unwrap().port, 7777);
}

/// Listens, and says `answer` to whatever is asked.
async fn impostor(answer: Vec<u8>) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                // The request first: closing with something unread is a reset.
                let len = stream.read_u16().await?;
                stream.read_exact(&mut vec![0; len.into()]).await?;
                stream.write_all(&answer).await
            });
        }
    });
    port
}

#[tokio::test]
async fn what_is_not_epmd_is_told_as_that() {
    for answer in [
        &b""[..],
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"w",
        b"w\x00\x1e\x61",
        b"w\x02",
        b"w\x00\x1e\x61M\x00\x00\x06\x00\x05\x00\x09a\x00\x00",
        b"w\x00\x1e\x61M\x00\x00\x06\x00\x05\x00\x01a\xff\xff",
        b"w\x00\x1e\x61M\x00\x00\x06\x00\x05\x00\x01\xff\x00\x00",
    ] {
        let port = impostor(answer.to_vec()).await;
        let error = lookup(LOCALHOST, port, "a").await.unwrap_err();
        assert!(matches!(error, LookupError::Malformed { .. }), "{answer:?}: {error:?}");
        let config = Config { port, patience: Duration::ZERO, ..config() };
        let error = Registrar::start("a", 1, Mode::Auto, config).await.unwrap_err();
        assert!(matches!(error, RegisterError::Malformed { .. }), "{answer:?}: {error:?}");
    }
    for answer in [&b""[..], b"\0\0\x11", b"\0\0\0\0name a\n", b"\0\0\0\0\xff"] {
        let error = names(LOCALHOST, impostor(answer.to_vec()).await).await.unwrap_err();
        assert!(matches!(error, LookupError::Malformed { .. }), "{answer:?}: {error:?}");
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let flood = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let lines = b"name a at port 1\n".repeat(1000);
        let mut sent = 0;
        while stream.write_all(&lines).await.is_ok() {
            sent += lines.len();
        }
        io::Result::Ok(sent)
    });
    let answered = timeout(DEADLINE, names(LOCALHOST, port)).await.unwrap();
    assert!(matches!(answered, Err(LookupError::Malformed { .. })), "a line is cut in the middle");
    assert!(flood.await.unwrap().unwrap() < 64 << 20);
}

#[tokio::test(start_paused = true)]
async fn silence_is_not_waited_for() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let error = lookup(LOCALHOST, port, "a").await.unwrap_err();
    assert!(matches!(error, LookupError::Timeout { .. }), "{error:?}");
    let config = Config { port, ..config() };
    let error = Registrar::start("a", 1, Mode::External, config).await.unwrap_err();
    assert!(matches!(error, RegisterError::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn the_other_failures_are_told_apart() {
    let config = config();
    let error = lookup("no-such-host.invalid", config.port, "a").await.unwrap_err();
    assert!(matches!(error, LookupError::Resolve { .. }), "{error:?}");
    let error = lookup(LOCALHOST, config.port, "a").await.unwrap_err();
    assert!(matches!(error, LookupError::Unreachable { .. }), "{error:?}");
    let _server = Server::start(&config).unwrap();
    let error = lookup("localhost", config.port, "a").await.unwrap_err();
    let LookupError::NotFound { base, addr } = error else { panic!("{error:?}") };
    assert_eq!((base.as_str(), addr.port()), ("a", config.port));
}

async fn reaches(registrar: &Registrar, wanted: impl FnMut(&Status) -> bool) {
    let mut status = registrar.status();
    timeout(DEADLINE, status.wait_for(wanted)).await.unwrap().unwrap();
}

fn by(wanted: ServedBy) -> impl Fn(&Status) -> bool {
    move |status| matches!(status, Status::Registered { by } if *by == wanted)
}

#[tokio::test]
async fn who_serves_passes_from_node_to_node() {
    let config = config();
    let port = config.port;
    let start = |base| Registrar::start(base, 7000, Mode::Auto, config.clone());
    let a = start("a").await.unwrap();
    let (b, c) = (start("b").await.unwrap(), start("c").await.unwrap());
    let creations = [a.creation(), b.creation(), c.creation()].map(Option::unwrap);
    assert!(creations[0] != creations[1] && creations[1] != creations[2]);
    reaches(&a, by(ServedBy::Embedded)).await;
    reaches(&b, by(ServedBy::External)).await;
    assert_eq!(names(LOCALHOST, port).await.unwrap().len(), 3);

    // One of the two that are left serves, and the other registers there.
    a.close().await;
    eventually("b and c to be listed", async || {
        names(LOCALHOST, port).await.is_ok_and(|mut names| {
            names.sort();
            names == [("b".to_owned(), 7000), ("c".to_owned(), 7000)]
        })
    })
    .await;
    let serving = [&b, &c].map(|registrar| by(ServedBy::Embedded)(&registrar.status().borrow()));
    assert_ne!(serving[0], serving[1]);
    assert_eq!(b.creation(), Some(creations[1]), "the creation stays");

    // One that may not serve waits.
    let external = Registrar::start("d", 7000, Mode::External, config.clone()).await.unwrap();
    drop((b, c));
    reaches(&external, |status| matches!(status, Status::Lost { error: Some(_) })).await;
    let e = start("e").await.unwrap();
    reaches(&e, by(ServedBy::Embedded)).await;
    reaches(&external, by(ServedBy::External)).await;
}

#[tokio::test]
async fn a_taken_name_at_the_start_is_waited_out() {
    let config = config();
    let port = config.port;
    let _server = Server::start(&config).unwrap();
    let (held, _) = register(port, "a", 6).await;
    let error = Registrar::start("a", 7000, Mode::Auto, config.clone()).await.unwrap_err();
    let RegisterError::NameTaken { base, addr } = &error else { panic!("{error:?}") };
    assert_eq!((base.as_str(), addr.port()), ("a", port));

    let patient = Config { patience: DEADLINE, ..config };
    let mut starting = Box::pin(Registrar::start("a", 7000, Mode::Auto, patient));
    assert!(timeout(Duration::from_millis(50), &mut starting).await.is_err());
    drop(held);
    let registrar = starting.await.unwrap();
    reaches(&registrar, by(ServedBy::External)).await;
}

#[tokio::test]
async fn a_name_taken_meanwhile_is_told_and_tried_again() {
    let config = config();
    let server = Server::start(&config).unwrap();
    let registrar = Registrar::start("a", 7000, Mode::External, config.clone()).await.unwrap();
    let creation = registrar.creation();

    // Another node of that name has it from the first moment of the next EPMD.
    drop(server);
    let patient = Config { patience: DEADLINE, ..config.clone() };
    let squatter = Registrar::start("a", 7001, Mode::Embedded, patient).await.unwrap();
    reaches(&registrar, |status| matches!(status, Status::NameTaken { .. })).await;
    assert_eq!(lookup(LOCALHOST, config.port, "a").await.unwrap().port, 7001);

    squatter.close().await;
    let _server = Server::start(&config).unwrap();
    reaches(&registrar, by(ServedBy::External)).await;
    assert_eq!(lookup(LOCALHOST, config.port, "a").await.unwrap().port, 7000);
    assert_eq!(registrar.creation(), creation);
}

#[tokio::test]
async fn no_epmd_and_none_to_be_served() {
    let config = config();
    let error = Registrar::start("a", 1, Mode::External, config.clone()).await.unwrap_err();
    assert!(matches!(error, RegisterError::Unreachable { .. }), "{error:?}");
    let _server = Server::start(&config).unwrap();
    let error = Registrar::start("a", 1, Mode::Embedded, config).await.unwrap_err();
    let taken = matches!(error, RegisterError::Serve(ServeError::PortTaken { .. }));
    assert!(taken, "{error:?}");
}
