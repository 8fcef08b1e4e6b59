//! Each row and sentence of the posting policy, from the shop to the books: the right documents, or
//! a failure that a bookkeeper understands.

mod acts;
mod amounts;
mod checks;
mod currencies;
mod desk;
mod documents;
mod looks;
mod lost;
mod people;
mod recorded;
mod settings;
mod statuses;
mod table;
mod there;

use anyhow::Result;
use desk::hold;

#[test]
fn every_status_gives_what_the_table_says() -> Result<()> {
    hold("policy-statuses", statuses::groups())
}

#[test]
fn what_happens_after_posting_reaches_the_documents_or_a_person() -> Result<()> {
    hold("policy-documents", documents::groups())
}

#[test]
fn customers_items_and_taxes_are_found_made_or_asked_for() -> Result<()> {
    hold("policy-people", people::groups())
}

#[test]
fn settings_of_amounts_dates_and_fields_do_what_they_say() -> Result<()> {
    hold("policy-settings", settings::groups())
}

#[test]
fn lines_taxes_and_rounding_add_up_to_the_order() -> Result<()> {
    hold("policy-amounts", amounts::groups())
}

#[test]
fn every_currency_and_country_comes_out_to_the_cent() -> Result<()> {
    hold("policy-currencies", currencies::groups())
}

#[test]
fn documents_whose_links_a_failover_lost_are_known_again() -> Result<()> {
    hold("policy-lost", lost::groups())
}

#[test]
fn what_a_bookkeeper_does_there_is_kept_and_told() -> Result<()> {
    hold("policy-there", there::groups())
}
