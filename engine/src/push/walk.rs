//! A look at the hub's orders, for what settings have to answer for before the first of them is
//! sent. Nothing is claimed or written.

use super::store::{Bundle, Candidate, PushStore, Root, Scope};
use crate::clock::Clock;
use crate::error::Result;
use crate::model::Entity;
use crate::store::{Run, Stream};
use jiff::SignedDuration;
use std::sync::Arc;

/// Records of one page.
const PAGE: usize = 200;

/// The hub as it is seen from one connection.
pub struct Walk {
    pub store: Arc<dyn PushStore>,
    pub clock: Arc<dyn Clock>,
    /// A dry run, of all records.
    pub run: Run,
    pub stream: Stream,
    /// Somebody waits for the answer.
    pub time: SignedDuration,
}

impl Walk {
    /// Shows `each` every order with all that belongs to it. False: there was no time for all.
    pub async fn orders(&self, mut each: impl FnMut(&Bundle) -> Result<()> + Send) -> Result<bool> {
        let began = self.clock.now();
        let roots = [Root { entity: Entity::Orders, linked_only: false }];
        let mut after: Option<Candidate> = None;
        loop {
            if self.clock.now().duration_since(began) > self.time {
                return Ok(false);
            }
            let page = self
                .store
                .candidates(&self.run, &self.stream, &roots, &Scope::Walk, after, PAGE)
                .await?;
            let Some(last) = page.last() else { return Ok(true) };
            after = Some(*last);
            for bundle in self.store.bundles(&self.stream, &roots, &page).await? {
                each(&bundle)?;
            }
        }
    }
}
