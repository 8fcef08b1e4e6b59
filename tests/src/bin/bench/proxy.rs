//! A TCP relay in front of the shop that notes when the server's side last began to talk. TLS goes
//! through untouched.

use anyhow::Result;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant;

pub struct Proxy {
    pub address: SocketAddr,
    /// The instant of every piece that a client sent.
    pub sent: Receiver<Instant>,
}

impl Proxy {
    /// Relays to `target` (`127.0.0.1:PORT`) until this program ends.
    pub fn start(target: String) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (sender, sent) = channel();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A shop that is gone ends the connection, as it would without us.
                if let Ok(server) = TcpStream::connect(&target) {
                    relay(client, server, sender.clone());
                }
            }
        });
        Ok(Self { address, sent })
    }
}

fn relay(client: TcpStream, server: TcpStream, sent: Sender<Instant>) {
    let (Ok(client_out), Ok(server_out)) = (client.try_clone(), server.try_clone()) else { return };
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
    }
    thread::spawn(move || pump(client, server_out, Some(sent)));
    thread::spawn(move || pump(server, client_out, None));
}

fn pump(mut from: TcpStream, mut to: TcpStream, sent: Option<Sender<Instant>>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length) = from.read(&mut buffer) {
        if let Some(sent) = &sent {
            let _ = sent.send(Instant::now());
        }
        if length == 0 || to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}
