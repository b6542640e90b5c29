//! A server on this machine that speaks https, or what it should not.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What the server does with a request.
pub enum Reply {
    /// It sends these bytes, and closes.
    Bytes(Vec<u8>),
    /// It sends these, and then nothing until the other side has gone.
    Stalls(Vec<u8>),
}

/// How it begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// As https does.
    Https,
    /// As a proxy, which is told to connect and then is the other side itself.
    Proxy,
    /// It says nothing.
    Mute,
    /// It speaks without TLS.
    Plain,
}

/// A server that answers until the tests end.
pub struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers each path with what `answer` says.
    pub fn new(opening: Opening, answer: impl Fn(&str) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let config = Arc::new(config());
        thread::spawn(move || {
            for stream in listener.incoming() {
                // Whoever broke off is no concern of the next one.
                let _ = serve(stream.unwrap(), opening, &config, &answer, &log);
            }
        });
        Self { port, asked }
    }

    /// One that answers every path with `body`.
    pub fn of(body: &str) -> Self {
        let answer = ok(body);
        Self::new(Opening::Https, move |_| Reply::Bytes(answer.clone()))
    }

    /// The address of `path` there.
    pub fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }

    /// Where it listens, as a proxy.
    pub fn proxy(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The first lines of all requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// The authority that signed for the server.
pub fn authority() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/tls/ca.pem"))
}

/// An answer with `body` in it, called a picture: what a server calls its answer is not trusted.
pub fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into()
}

/// An answer that sends the other side to `place`.
pub fn redirect(place: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n").into()
}

fn config() -> ServerConfig {
    let folder = authority();
    let file = |name: &str| folder.with_file_name(name);
    let certificate = CertificateDer::from_pem_file(file("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("server.key")).unwrap();
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap()
}

fn serve(
    mut stream: TcpStream,
    opening: Opening,
    config: &Arc<ServerConfig>,
    answer: &impl Fn(&str) -> Reply,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    match opening {
        Opening::Https => {}
        Opening::Proxy => {
            let line = request(&mut stream)?;
            log.lock().unwrap().push(line);
            stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
        }
        Opening::Mute => return until_gone(&mut stream),
        Opening::Plain => return stream.write_all(b"220 mail.example ready\r\n"),
    }
    let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?, stream);
    let line = request(&mut stream)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    log.lock().unwrap().push(line);
    match answer(&path) {
        Reply::Bytes(bytes) => {
            stream.write_all(&bytes)?;
            stream.conn.send_close_notify();
            stream.flush()
        }
        Reply::Stalls(bytes) => {
            stream.write_all(&bytes)?;
            stream.flush()?;
            until_gone(&mut stream)
        }
    }
}

/// The first line of a request, whose head is read to its end.
fn request(stream: &mut impl Read) -> std::io::Result<String> {
    // One byte at a time: what follows the head is not ours.
    let mut reader = BufReader::with_capacity(1, stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            return match first.is_empty() {
                true => Err(ErrorKind::UnexpectedEof.into()),
                false => Ok(first.trim_end().to_owned()),
            };
        }
    }
}

fn until_gone(stream: &mut impl Read) -> std::io::Result<()> {
    std::io::copy(stream, &mut std::io::sink()).map(|_| ())
}
