//! Renews tokens for sessions that ask: what they renewed themselves a rollback would lose.

use crate::host::Bridge;
use crate::shmem::Slot;
use crate::store::PgStore;
use engine::connector::quickbooks::push::Accounts;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};

/// Answers sessions, for ever. What can't be renewed shows when it is used.
pub async fn keep(
    store: Arc<PgStore>,
    accounts: Arc<Accounts>,
    bridge: Arc<Bridge>,
    slot: &'static Slot,
) {
    loop {
        bridge.woken.for_tokens.notified().await;
        let asked = slot.renewals_asked.load(Acquire);
        if asked == slot.renewals_done.load(Acquire) {
            continue;
        }
        for (connection, reads_used) in store.granted().await.unwrap_or_default() {
            let _ = accounts.renew(&connection, reads_used).await;
        }
        slot.renewals_done.store(asked, Release);
    }
}
