mod books;
mod hub;
mod statements;
