//! What pages that are read ahead of their turn may hold in memory, of all runs of this process
//! together. The page whose turn it is never waits for it and is never refused (it has bounds of its
//! own, [`crate::limits`]): so no two runs can wait for each other, and a shop that fills the store
//! costs other runs their reading ahead and nothing else. A page that doesn't fit is given up and
//! read again when its turn comes.

use crate::limits::AHEAD_BYTES;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static HELD: AtomicUsize = AtomicUsize::new(0);

tokio::task_local! {
    /// The task reads a page ahead of its turn.
    static AHEAD: ();
}

/// Runs `work` as one that reads ahead of its turn.
pub async fn ahead<F: Future>(work: F) -> F::Output {
    AHEAD.scope((), work).await
}

/// Bytes that are held until this is dropped.
#[derive(Debug, Default)]
pub struct Held(usize);

impl Held {
    /// Holds so many more. False: the task reads ahead, and there is no room for that; they are held
    /// all the same, until whoever asked has given them up.
    #[must_use]
    pub fn grow(&mut self, bytes: usize) -> bool {
        self.0 += bytes;
        let all = HELD.fetch_add(bytes, Relaxed) + bytes;
        all <= AHEAD_BYTES || AHEAD.try_with(|()| ()).is_err()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.fetch_sub(self.0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_read_ahead_is_refused_when_the_store_is_full_and_the_page_in_turn_is_not() {
        let mut first = Held::default();
        assert!(first.grow(AHEAD_BYTES));
        let mut in_turn = Held::default();
        assert!(in_turn.grow(1));
        assert!(ahead(async { !Held::default().grow(1) }).await);
        drop((first, in_turn));
        assert!(ahead(async { Held::default().grow(1) }).await);
    }
}
