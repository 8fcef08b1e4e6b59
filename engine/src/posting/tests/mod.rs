//! The posting policy, held to a recorded shop and to cases made for each of its sentences.

mod amounts;
mod bodies;
mod books;
mod checking;
mod companies;
mod deciding;
mod flows;
mod naming;
mod random;
mod recorded;
mod refunding;
mod settings;
mod shop;
mod simulated;
