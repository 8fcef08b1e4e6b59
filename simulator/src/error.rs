//! The simulator's errors: all are about starting it; once it runs, errors are answers.

use std::path::PathBuf;

/// What starting a simulator gives.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a simulator didn't start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No free port, or one that was asked for is taken.
    #[error("cannot listen on 127.0.0.1 for {what}: {source}")]
    Listen { what: String, source: std::io::Error },
    /// Keys or certificates could not be made.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// A file of the shop folder could not be read.
    #[error("cannot read {path}: {source}; the shop folder needs the files named in the README")]
    Read { path: PathBuf, source: std::io::Error },
    /// The state file or the CA could not be written.
    #[error("cannot write {path}: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    /// A file of the shop folder has the wrong form.
    #[error("{file} is not what a shop folder holds: {why}")]
    Shop { file: String, why: String },
    /// A company's preset is unknown or broken.
    #[error("cannot set up the companies: {0}")]
    Companies(String),
    /// No such zone in the time zone database.
    #[error("unknown time zone {0:?}: give an IANA name such as Europe/Berlin")]
    Timezone(String),
}
