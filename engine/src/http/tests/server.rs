//! A server that answers as its script says, one request a connection.

use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone)]
pub enum Step {
    /// These bytes, then the end of the connection.
    Answer(String),
    /// The request is read and the connection torn down.
    Reset,
    /// The request is read and never answered.
    Hang,
}

pub struct Server {
    pub port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Plays the steps in order; the last one again and again.
    pub async fn start(steps: Vec<Step>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(vec![]));
        let requests = seen.clone();
        let task = tokio::spawn(async move {
            for n in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let step = steps[usize::min(n, steps.len() - 1)].clone();
                tokio::spawn(play(stream, step, requests.clone()));
            }
        });
        Server { port, seen, task }
    }

    pub fn url(&self, path: &str) -> reqwest::Url {
        reqwest::Url::parse(&format!("http://127.0.0.1:{}{path}", self.port)).unwrap()
    }

    /// Heads and bodies of the requests so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn play(mut stream: TcpStream, step: Step, seen: Arc<Mutex<Vec<String>>>) {
    let request = read(&mut stream).await;
    seen.lock().unwrap().push(request);
    match step {
        Step::Answer(bytes) => {
            stream.write_all(bytes.as_bytes()).await.ok();
            stream.shutdown().await.ok();
        }
        // Closed with the answer's first byte unsent: the other side sees a reset.
        Step::Reset => stream.set_zero_linger().unwrap(),
        Step::Hang => std::future::pending().await,
    }
}

async fn read(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let n = stream.read(&mut buffer).await.unwrap_or(0);
        text.push_str(&String::from_utf8_lossy(&buffer[..n]));
        if n == 0 || whole(&text) {
            return text;
        }
    }
}

fn whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    body.len() >= length.unwrap_or(0)
}

/// An answer with a body of known length.
pub fn answer(status: u16, headers: &str, body: &str) -> Step {
    Step::Answer(format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}",
        body.len()
    ))
}

pub fn ok() -> Step {
    answer(200, "content-type: application/json\r\n", "[]")
}
