//! Listeners for http and https, and the way of a request: count it, let faults strike, answer.

use crate::calls::Calls;
use crate::clock::SimClock;
use crate::faults::{self, FaultKind, FaultPlan};
use crate::http::{Request, Response};
use crate::platform::Platform;
use crate::sending;
use crate::wire::{Cutter, HANDSHAKE_TIMEOUT, Wire};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Requests with a larger body are refused.
const LARGEST_REQUEST: usize = 64 << 20;

/// A platform with everything the server keeps about it.
pub struct Served {
    /// What answers.
    pub platform: Arc<dyn Platform>,
    /// What goes wrong.
    pub faults: Arc<FaultPlan>,
    /// What was asked.
    pub calls: Arc<Calls>,
    /// The time of the `Date` header.
    pub clock: SimClock,
}

/// Accepts connections until `stop`; each is served by a task of its own.
pub async fn serve(
    served: Arc<Served>,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    stop: CancellationToken,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // Out of descriptors or the peer left early: the next one may do better.
                Err(_) => continue,
            },
        };
        let (served, acceptor, stop) = (served.clone(), acceptor.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = connection(served, stream, acceptor) => {}
            }
        });
    }
}

async fn connection(served: Arc<Served>, stream: TcpStream, acceptor: Option<TlsAcceptor>) {
    let _ = stream.set_nodelay(true);
    let cutter = Cutter::default();
    let wire = Wire::new(stream, cutter.clone());
    match acceptor {
        None => http(served, wire, cutter, false).await,
        Some(acceptor) => {
            let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(wire)).await;
            if let Ok(Ok(stream)) = handshake {
                http(served, stream, cutter, true).await;
            }
        }
    }
}

async fn http<S>(served: Arc<Served>, stream: S, cutter: Cutter, secure: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |incoming| {
        let (served, cutter) = (served.clone(), cutter.clone());
        async move { Ok::<_, Infallible>(exchange(&served, incoming, &cutter, secure).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).title_case_headers(true).writev(true);
    // An error here is a client that left or a fault that broke the connection: both are normal.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

async fn exchange(
    served: &Served,
    incoming: hyper::Request<Incoming>,
    cutter: &Cutter,
    secure: bool,
) -> hyper::Response<sending::Outgoing> {
    let request = match read(incoming, secure).await {
        Ok(request) => request,
        Err(refusal) => return sending::outgoing(refusal, served.clock.now(), cutter),
    };
    let _visit = served.platform.visit(&request);
    let struck = served.faults.strike(&request.method, || request.target());
    for fault in &struck {
        if let FaultKind::Latency(time) = fault {
            tokio::time::sleep(*time).await;
        }
    }
    let mut response = match struck.iter().find(|f| f.replaces_the_call()) {
        Some(FaultKind::Answer { status, headers, body }) => Response {
            status: *status,
            headers: headers.clone(),
            body: vec![Bytes::from(body.clone())],
            sending: Default::default(),
        },
        Some(_) => Response::empty(500),
        None => served.platform.answer(&request),
    };
    for fault in &struck {
        faults::apply(fault, &mut response);
    }
    let status = if response.sending.reset { 0 } else { response.status };
    served.calls.note(&served.platform.route(&request), &request, status);
    sending::outgoing(response, served.clock.now(), cutter)
}

/// Reads the whole request.
pub async fn read(incoming: hyper::Request<Incoming>, secure: bool) -> Result<Request, Response> {
    let (parts, body) = incoming.into_parts();
    let body = match Limited::new(body, LARGEST_REQUEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Err(Response::new(413, "text/plain", "request body too large\n")),
    };
    let header = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Ok(Request {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers.iter().map(header).collect(),
        body,
        secure,
    })
}
