//! Paces and pages a pull.
