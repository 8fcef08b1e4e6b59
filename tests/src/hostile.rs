//! A server that answers what no platform would: bytes as a test gives them, broken, without end, or
//! slowly. It reads a call and nothing more; each connection ends with its answer.

use anyhow::Result;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// No answer goes on for longer: whoever still listens then has no limit of its own.
const MOST_TIME: Duration = Duration::from_secs(150);

/// A call as it came in.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub query: BTreeMap<String, String>,
    /// The head of the call, as it was written.
    pub head: String,
    pub body: String,
    /// How many calls came before it.
    pub number: usize,
}

impl Asked {
    /// A number among the query's parameters; 0 where there is none.
    pub fn number_of(&self, name: &str) -> u64 {
        self.query.get(name).and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

/// What is written in answer.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// Status line and headers, with the empty line that ends them.
    pub head: Vec<u8>,
    pub body: Vec<u8>,
    /// Written again and again behind the body, until nobody listens.
    pub endless: Vec<u8>,
    /// After each piece of what is written without end.
    pub pause: Duration,
}

impl Reply {
    /// Bytes as they are, without a head.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { head: bytes.into(), ..Self::default() }
    }

    /// A status and a body, with further headers: `x-wp-total: 5\r\n`.
    pub fn new(status: u16, headers: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
        );
        Self { head: head.into_bytes(), body, ..Self::default() }
    }

    /// JSON that is a success.
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::json_with("", body)
    }

    pub fn json_with(headers: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, &format!("content-type: application/json; charset=UTF-8\r\n{headers}"), body)
    }

    /// JSON that comes packed.
    pub fn packed(body: &[u8]) -> Self {
        Self::json_with("content-encoding: gzip\r\n", pack(body))
    }

    /// A head and then these bytes without end, with a pause after each time.
    pub fn endless(head: &str, bytes: impl Into<Vec<u8>>, pause: Duration) -> Self {
        Self { head: head.into(), endless: bytes.into(), pause, ..Self::default() }
    }

    fn write(&self, stream: &mut TcpStream) -> io::Result<()> {
        let began = Instant::now();
        stream.write_all(&self.head)?;
        stream.write_all(&self.body)?;
        while !self.endless.is_empty() && began.elapsed() < MOST_TIME {
            stream.write_all(&self.endless)?;
            std::thread::sleep(self.pause);
        }
        stream.flush()?;
        // Closed by the other side: a reset would take away what it hasn't read yet.
        stream.shutdown(std::net::Shutdown::Write)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        io::copy(&mut stream.take(1 << 20), &mut io::sink()).map(drop)
    }
}

/// Packed by gzip.
pub fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    // A vector takes whatever is written.
    let _ = packer.write_all(bytes);
    packer.finish().unwrap_or_default()
}

/// `count` times the same bytes, packed, without being held unpacked.
pub fn pack_many(begin: &[u8], again: &[u8], count: usize, end: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    let lot = again.repeat(1024);
    let _ = packer.write_all(begin);
    for _ in 0..count / 1024 {
        let _ = packer.write_all(&lot);
    }
    let _ = packer.write_all(&again.repeat(count % 1024));
    let _ = packer.write_all(end);
    packer.finish().unwrap_or_default()
}

/// A running server; its threads end with the process.
#[derive(Debug, Clone)]
pub struct Hostile {
    port: u16,
    seen: Arc<Mutex<Vec<Asked>>>,
}

impl Hostile {
    /// Answers every call with what `answer` gives.
    pub fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let hostile = Self { port: listener.local_addr()?.port(), seen: Arc::default() };
        let (seen, answer) = (Arc::clone(&hostile.seen), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &seen, |asked| answer(asked)));
            }
        });
        Ok(hostile)
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The calls so far.
    pub fn seen(&self) -> Vec<Asked> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<Asked>>, answer: impl Fn(&Asked) -> Reply) {
    let Ok(Some(mut asked)) = read(&mut stream) else { return };
    {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        asked.number = seen.len();
        seen.push(asked.clone());
    }
    // Who hangs up has a limit: that is what is wanted.
    let _ = answer(&asked).write(&mut stream);
}

fn read(stream: &mut TcpStream) -> io::Result<Option<Asked>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16384];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&buffer[..count]);
        if let Some(asked) = whole(&String::from_utf8_lossy(&bytes)) {
            return Ok(Some(asked));
        }
    }
}

/// The call, once all of it is there.
fn whole(text: &str) -> Option<Asked> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut words = head.lines().next()?.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let length = head.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    if body.len() < length.unwrap_or(0) {
        return None;
    }
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    Some(Asked {
        method: method.to_owned(),
        path: path.to_owned(),
        query: pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        head: head.to_owned(),
        body: body.to_owned(),
        number: 0,
    })
}
