mod books;
mod statements;
