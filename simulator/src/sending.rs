//! Puts an answer on the wire: in chunks, with a known length, in drips, or broken off.

use crate::http::{Response, Sending};
use crate::wire::Cutter;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{HeaderName, HeaderValue};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

/// The body of an answer as hyper sends it.
pub struct Outgoing {
    pieces: VecDeque<Bytes>,
    /// After the pieces: break off instead of ending.
    breaks: Option<Cutter>,
    pause: Option<Duration>,
    sleeping: Option<Pin<Box<Sleep>>>,
    exact: Option<u64>,
    /// hyper reads on eagerly; a broken body must not tear down the connection before the pieces
    /// that came first were written.
    flushed: bool,
}

/// Long enough for loopback to take what was written before the break.
const BEFORE_THE_BREAK: Duration = Duration::from_millis(20);

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(sleep) = &mut self.sleeping {
            if sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.sleeping = None;
        }
        if let Some(piece) = self.pieces.pop_front() {
            self.sleeping = self.pause.map(|time| Box::pin(tokio::time::sleep(time)));
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if self.breaks.is_none() {
            return Poll::Ready(None);
        }
        if !self.flushed {
            self.flushed = true;
            let mut sleep = Box::pin(tokio::time::sleep(BEFORE_THE_BREAK));
            if sleep.as_mut().poll(context).is_pending() {
                self.sleeping = Some(sleep);
                return Poll::Pending;
            }
        }
        if let Some(cutter) = self.breaks.take() {
            cutter.cut();
        }
        Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::ConnectionReset, "cut by a fault"))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && self.breaks.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.exact.map(SizeHint::with_exact).unwrap_or_default()
    }
}

/// The answer for hyper, dated by the simulated clock unless it brings its own date.
pub fn outgoing(response: Response, now: Timestamp, cutter: &Cutter) -> hyper::Response<Outgoing> {
    let Response { status, headers, body, sending } = response;
    if sending.reset {
        cutter.cut();
    }
    let mut answer = hyper::Response::new(body_of(body, &sending, cutter));
    *answer.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now).unwrap_or_default();
    let dated = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("date"));
    let date = (!dated).then(|| ("Date".to_owned(), date));
    for (name, value) in headers.into_iter().chain(date) {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_bytes(value.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value) {
            answer.headers_mut().append(name, value);
        }
    }
    answer
}

fn body_of(mut pieces: Vec<Bytes>, sending: &Sending, cutter: &Cutter) -> Outgoing {
    if let Some(limit) = sending.cut_after {
        cut(&mut pieces, limit);
    }
    if let Some((size, _)) = sending.drip {
        pieces = pieces.iter().flat_map(|piece| in_drips(piece, size)).collect();
    }
    pieces.retain(|piece| !piece.is_empty());
    let length = pieces.iter().map(|piece| piece.len() as u64).sum();
    let broken = sending.reset || sending.cut_after.is_some();
    Outgoing {
        pieces: pieces.into(),
        breaks: broken.then(|| cutter.clone()),
        pause: sending.drip.map(|(_, pause)| pause),
        sleeping: None,
        exact: (!broken && (sending.content_length || length == 0)).then_some(length),
        flushed: false,
    }
}

fn cut(pieces: &mut [Bytes], limit: usize) {
    let mut left = limit;
    for piece in pieces.iter_mut() {
        piece.truncate(left);
        left -= piece.len();
    }
}

fn in_drips(piece: &Bytes, size: usize) -> Vec<Bytes> {
    (0..piece.len())
        .step_by(size.max(1))
        .map(|at| piece.slice(at..(at + size.max(1)).min(piece.len())))
        .collect()
}
