//! The posting policy, held to a recorded shop and to cases made for each of its sentences.

mod books;
mod companies;
mod deciding;
mod flows;
mod recorded;
mod settings;
mod shop;
