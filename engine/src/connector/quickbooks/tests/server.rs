//! A server whose every answer is decided by a function of the request.

use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Debug, Clone)]
pub struct Seen {
    /// Without the query.
    pub path: String,
    /// Raw, still encoded.
    pub query: String,
    /// In lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A parameter of the query, decoded.
    pub fn param(&self, name: &str) -> Option<String> {
        let url = reqwest::Url::parse(&format!("http://x/?{}", self.query)).unwrap();
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

pub enum Reply {
    Answer(u16, &'static str, String),
    /// The request is read and the connection torn down.
    Reset,
}

pub fn json(status: u16, body: Value) -> Reply {
    let head = "content-type: application/json;charset=UTF-8\r\nintuit_tid: 1-tid-7\r\n";
    Reply::Answer(status, head, body.to_string())
}

pub fn text(status: u16, body: &str) -> Reply {
    Reply::Answer(status, "content-type: text/plain\r\nintuit_tid: 1-tid-8\r\n", body.to_owned())
}

pub struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// `answer` gets the request and how many came before it.
    pub async fn start(answer: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (requests, answer) = (seen.clone(), Arc::new(answer));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (requests, answer) = (requests.clone(), answer.clone());
                tokio::spawn(async move {
                    play(stream, |request| {
                        let n = {
                            let mut seen = requests.lock().unwrap();
                            seen.push(request.clone());
                            seen.len() - 1
                        };
                        answer(request, n)
                    })
                    .await
                });
            }
        });
        Server { port, seen, task }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn play(mut stream: TcpStream, answer: impl Fn(&Seen) -> Reply) {
    let Some(request) = read(&mut stream).await else { return };
    match answer(&request) {
        Reply::Answer(status, headers, body) => {
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await.ok();
            stream.write_all(body.as_bytes()).await.ok();
            stream.shutdown().await.ok();
        }
        Reply::Reset => stream.set_zero_linger().unwrap(),
    }
}

async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut text = String::new();
    let mut buffer = [0; 16384];
    loop {
        let n = stream.read(&mut buffer).await.unwrap_or(0);
        text.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
        if let Some(seen) = whole(&text) {
            return Some(seen);
        }
        if n == 0 {
            return None;
        }
    }
}

fn whole(text: &str) -> Option<Seen> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let target = first.nth(1)?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
    (body.len() >= length).then(|| Seen {
        path: path.into(),
        query: query.into(),
        headers,
        body: body.into(),
    })
}
