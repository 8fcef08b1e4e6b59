//! A receiver of webhooks, as an Edge Function would be: takes a POST, hands on headers and raw body.

use anyhow::{Context, Result};
use serde_json::{Map, Value};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver as Channel, Sender, channel};

/// A delivery as it came.
#[derive(Debug, Clone)]
pub struct Delivered {
    pub headers: Value,
    pub body: String,
}

/// Listens until the program ends.
pub struct Receiver {
    /// Where it listens.
    pub url: String,
    pub deliveries: Channel<Delivered>,
}

impl Receiver {
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("a port for the receiver")?;
        let url = format!("http://{}/hooks", listener.local_addr()?);
        let (sender, deliveries) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sender = sender.clone();
                // One that breaks off is its sender's loss.
                std::thread::spawn(move || take(stream, &sender));
            }
        });
        Ok(Self { url, deliveries })
    }
}

fn take(stream: TcpStream, sender: &Sender<Delivered>) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut headers = Map::new();
    let mut line = String::new();
    reader.read_line(&mut line)?;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_owned(), Value::from(value));
    }
    let length = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.as_str()?.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let _ = sender.send(Delivered { headers: headers.into(), body: String::from_utf8(body)? });
    let mut stream = stream;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
    Ok(())
}
