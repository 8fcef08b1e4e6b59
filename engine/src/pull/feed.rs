//! Pages in order, several asked for ahead of their turn.

use super::{PAGES_AHEAD, Pull};
use crate::connector::{Page, Pass};
use crate::error::{Error, Result};
use crate::http::budget;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Pages of a pass in order, several asked for ahead of their turn.
pub(super) struct Feed<'a> {
    pull: &'a Pull,
    pass: Pass,
    limit: u64,
    in_flight: Arc<Semaphore>,
    ahead: VecDeque<(u64, Fetch)>,
    next_offset: u64,
    total: Option<u64>,
}

impl<'a> Feed<'a> {
    pub fn new(pull: &'a Pull, pass: &Pass, offset: u64) -> Self {
        Feed {
            pull,
            pass: pass.clone(),
            limit: pull.connector.page_size().max(2),
            in_flight: Arc::new(Semaphore::new(pull.connector.concurrency().max(1))),
            ahead: VecDeque::new(),
            next_offset: offset,
            total: None,
        }
    }

    /// Elements of a page.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Elements of the list, as far as the platform tells.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Gives up what was asked for ahead and reads on from `offset`.
    pub fn restart(&mut self, offset: u64) {
        self.ahead.clear();
        self.next_offset = offset;
    }

    /// The next page must begin at `offset`: mostly it was asked for already.
    pub fn go_on(&mut self, offset: u64) {
        let next = self.ahead.front().map_or(self.next_offset, |(offset, _)| *offset);
        if next != offset {
            self.restart(offset);
        }
    }

    pub fn is_ready(&self) -> bool {
        self.ahead.front().is_some_and(|(_, fetch)| fetch.0.is_finished())
    }

    /// Asks ahead as far as the list is known to go; without a total, for one page only. `in_turn`:
    /// the first of them is wanted now.
    fn fill(&mut self, in_turn: bool) {
        let most = self.pull.connector.concurrency().max(1) * PAGES_AHEAD;
        while self.ahead.len() < most {
            let known = self.total.is_some_and(|total| self.next_offset + 1 < total);
            if !self.ahead.is_empty() && !known {
                break;
            }
            let offset = self.next_offset;
            self.ahead.push_back((offset, self.fetch(offset, !in_turn || !self.ahead.is_empty())));
            // Pages share an element.
            self.next_offset = offset + self.limit - 1;
        }
    }

    fn fetch(&self, offset: u64, ahead: bool) -> Fetch {
        let connector = Arc::clone(&self.pull.connector);
        let stream = self.pull.step.stream.clone();
        let (pass, limit) = (self.pass.clone(), self.limit);
        let turn = Arc::clone(&self.in_flight);
        Fetch(tokio::spawn(async move {
            let _turn = turn.acquire_owned().await.map_err(|e| Error::internal(e.to_string()))?;
            let page = connector.page(&stream, &pass, offset, limit);
            if ahead { budget::ahead(page).await } else { page.await }
        }))
    }

    pub async fn next(&mut self) -> Result<(u64, Page)> {
        self.fill(true);
        let Some((offset, fetch)) = self.ahead.pop_front() else {
            return Err(Error::internal("a walk has no next page"));
        };
        let page = match fetch.page().await {
            // There was no room for it ahead of its turn, which is now. Those behind it are given
            // up: they may hold the room that they all wanted.
            Err(error) if error.code == "crowded" => {
                self.restart(offset + self.limit - 1);
                self.fetch(offset, false).page().await?
            }
            page => page?,
        };
        // Behind the end some lists say 0 (woocommerce.md, section 3).
        self.total = page.total.filter(|total| *total > 0).or(self.total);
        self.fill_after_first();
        Ok((offset, page))
    }

    /// Once the total is known the pages behind are asked for while this one is written.
    fn fill_after_first(&mut self) {
        if self.total.is_some_and(|total| self.next_offset + 1 < total) {
            self.fill(false);
        }
    }
}

/// A page that is being read; given up, it is not read on.
struct Fetch(JoinHandle<Result<Page>>);

impl Fetch {
    async fn page(mut self) -> Result<Page> {
        let page = (&mut self.0).await;
        page.map_err(|e| Error::internal(format!("reading a page failed: {e}")))?
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.0.abort();
    }
}
