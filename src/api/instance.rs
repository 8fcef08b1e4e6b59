//! Which installation this is: the same on all nodes of a failover group, another on every copy.

use sha2::{Digest, Sha256};

pub fn name() -> String {
    if let Some(name) = crate::guc::instance() {
        return name;
    }
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let directory = crate::guc::data_directory();
    let directory = directory.canonicalize().unwrap_or(directory);
    let mut digest = Sha256::new();
    for part in [machine.trim(), host.trim(), &directory.to_string_lossy()] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    let hex: String = digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("auto-{hex}")
}
