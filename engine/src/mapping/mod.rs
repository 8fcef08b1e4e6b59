//! The mapping engine: rules are data.
