//! Credentials at rest: sealed with AES-256-GCM under a key that lies in a file outside SQL.

mod credential_file;
mod keyring;
mod seal;
mod stored;

pub use credential_file::read_credential_file;
pub use keyring::{Keyring, State, base64_encode};
pub use seal::{Binding, open, seal};
pub use stored::{Sealed, keyring, seal_to_store};
