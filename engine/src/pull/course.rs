//! Where a walk goes from a page: on, back, or to its end. Lists of a live shop shift, totals are
//! lost or wrong, plugins hide elements behind the paging or cap the pages: no walk may skip an
//! element for that, nor go on for ever.

use crate::connector::Page;
use crate::error::{Category, Error, Result};
use crate::limits::{TOTAL, WalkGuard};
use std::collections::BTreeSet;

/// How far the walk steps back at first when elements have left the list; doubled until it meets
/// one that it has seen.
const STEP_BACK: u64 = 10;

/// Steps back in a row without a new element before a walk is given up. Doubling reaches the start
/// of any list long before; more means that the list contradicts itself.
const MOST_STEPS_BACK: u32 = 60;

/// After a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    End,
    /// The next page begins here, with an element of this one.
    On(u64),
    /// The page doesn't count: elements may have slipped into what was read. Read on from here.
    Back(u64),
}

/// The course of one pass.
pub(super) struct Course {
    limit: u64,
    step_back: u64,
    steps_back: u32,
    /// Where an empty page has shown that the list ends.
    empty_at: Option<u64>,
    guard: WalkGuard,
    /// The offset beyond which no page was read yet.
    frontier: u64,
}

impl Course {
    pub fn new(limit: u64) -> Self {
        let guard = WalkGuard::up_to(TOTAL / limit.max(1));
        Course { limit, step_back: STEP_BACK, steps_back: 0, empty_at: None, guard, frontier: 0 }
    }

    /// Offset of the page after a full one: they share an element.
    pub fn after(&self, offset: u64) -> u64 {
        offset + self.limit - 1
    }

    /// Judges the page at `offset`; `last_id` is the highest id covered before it.
    pub fn next(&mut self, last_id: i64, offset: u64, page: &Page) -> Result<Next> {
        let total = page.total.filter(|total| *total > 0);
        let len = page.len as u64;
        let reached = offset + shown(page);
        let fresh = page.ids.iter().any(|id| *id > last_id);
        // What was read before may be read again, after a step back, without anything new.
        if offset >= self.frontier {
            self.frontier = offset + 1;
            self.guard.page(page.len, fresh)?;
        }
        if len == 0 {
            return self.after_nothing(last_id, offset, total);
        }
        let begins_behind = page.ids.first().is_some_and(|first| *first > last_id);
        if offset > 0 && last_id != 0 && begins_behind {
            return self.back(offset);
        }
        self.step_back = STEP_BACK;
        if fresh {
            self.steps_back = 0;
        }
        let known_end = self.empty_at.is_some_and(|end| reached >= end);
        Ok(match total {
            Some(total) if reached >= total => Next::End,
            _ if page.cut => Next::On(offset + len.max(2) - 1),
            _ if len >= self.limit => Next::On(self.after(offset)),
            None => Next::End,
            // Short, and there is said to be more: hidden elements, or pages capped by the shop.
            Some(_) if known_end => Next::End,
            Some(_) => Next::On(offset + len.max(2) - 1),
        })
    }

    /// An empty page.
    fn after_nothing(&mut self, last_id: i64, offset: u64, total: Option<u64>) -> Result<Next> {
        match total {
            // There are elements, and none of them is shown.
            Some(total) if offset + self.limit >= total && offset < total => Ok(Next::End),
            Some(total) if offset < total => Ok(Next::On(self.after(offset))),
            _ if offset == 0 || last_id == 0 => Ok(Next::End),
            // Behind the end: elements have left the list.
            _ => {
                self.empty_at = Some(self.empty_at.map_or(offset, |end| end.min(offset)));
                self.back(total.map_or(offset, |total| total.min(offset)))
            }
        }
    }

    fn back(&mut self, from: u64) -> Result<Next> {
        self.steps_back += 1;
        if self.steps_back > MOST_STEPS_BACK {
            let message = "the list contradicts itself: no page goes on where another ends";
            return Err(Error::new(Category::Network, "restless_list", message).hint(
                "A plugin of the shop may change its lists. It is read again with the next sync.",
            ));
        }
        let to = from.saturating_sub(self.step_back);
        self.step_back *= 2;
        Ok(Next::Back(to))
    }
}

/// Elements that a page shows, one that is there twice counted once.
fn shown(page: &Page) -> u64 {
    let distinct: BTreeSet<i64> = page.ids.iter().copied().collect();
    (page.len - page.ids.len().min(page.len) + distinct.len()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(ids: &[i64], total: Option<u64>) -> Page {
        Page { ids: ids.to_vec(), len: ids.len(), total, ..Page::default() }
    }

    fn next(last_id: i64, offset: u64, ids: &[i64], total: Option<u64>) -> Next {
        Course::new(4).next(last_id, offset, &page(ids, total)).unwrap()
    }

    #[test]
    fn a_full_page_goes_on_with_its_last_element() {
        assert_eq!(next(0, 0, &[1, 2, 3, 4], Some(9)), Next::On(3));
        assert_eq!(next(4, 3, &[4, 5, 6, 7], None), Next::On(6));
    }

    #[test]
    fn a_list_ends_with_a_short_page_or_with_its_total() {
        assert_eq!(next(0, 0, &[1, 2, 3, 4], Some(4)), Next::End);
        assert_eq!(next(4, 3, &[4, 5], None), Next::End);
        assert_eq!(next(4, 3, &[4, 5], Some(5)), Next::End);
        assert_eq!(next(0, 0, &[], Some(0)), Next::End);
        assert_eq!(next(0, 0, &[], None), Next::End);
    }

    #[test]
    fn a_page_that_does_not_begin_with_the_last_element_is_read_from_further_back() {
        let mut course = Course::new(4);
        assert_eq!(course.next(40, 39, &page(&[41, 42], Some(50))).unwrap(), Next::Back(29));
        assert_eq!(course.next(40, 29, &page(&[41, 42], Some(50))).unwrap(), Next::Back(9));
        assert_eq!(course.next(40, 9, &page(&[38, 39, 40, 41], Some(50))).unwrap(), Next::On(12));
    }

    #[test]
    fn an_empty_page_behind_the_end_steps_back_and_is_remembered_as_the_end() {
        let mut course = Course::new(4);
        assert_eq!(course.next(9, 20, &page(&[], Some(0))).unwrap(), Next::Back(10));
        // A total that is wrong for good: nothing is behind what the empty page showed.
        assert_eq!(course.next(9, 10, &page(&[], None)).unwrap(), Next::Back(0));
        assert_eq!(course.next(9, 8, &page(&[9, 10], Some(99))).unwrap(), Next::End);
    }

    #[test]
    fn short_pages_before_the_total_go_on_from_what_they_showed() {
        assert_eq!(next(0, 0, &[1, 4], Some(9)), Next::On(1));
        assert_eq!(next(4, 3, &[4], Some(9)), Next::On(4));
        assert_eq!(next(4, 3, &[], Some(9)), Next::On(6));
        assert_eq!(next(4, 6, &[], Some(9)), Next::End);
    }

    #[test]
    fn an_element_that_is_shown_twice_does_not_end_the_list_before_its_end() {
        assert_eq!(next(4, 3, &[4, 5, 6, 7, 7], Some(8)), Next::On(6));
        assert_eq!(next(0, 0, &[1, 1, 2], Some(3)), Next::On(2));
        assert_eq!(next(2, 2, &[], Some(3)), Next::End);
    }

    #[test]
    fn a_page_that_was_cut_goes_on_with_its_last_element() {
        let cut = Page { cut: true, ..page(&[1, 2], None) };
        assert_eq!(Course::new(4).next(0, 0, &cut).unwrap(), Next::On(1));
    }

    #[test]
    fn the_same_page_at_every_offset_ends_the_walk_with_an_error() {
        for total in [None, Some(u64::MAX), Some(1_000_000)] {
            let (mut course, mut offset, mut last_id) = (Course::new(4), 0, 0);
            let error = (0..100).find_map(|_| {
                let next = course.next(last_id, offset, &page(&[1, 2, 3, 4], total));
                (offset, last_id) = (offset + 3, 4);
                next.err()
            });
            assert_eq!(error.expect("an end").code, "no_progress");
        }
    }

    #[test]
    fn elements_without_ids_are_no_progress() {
        let mut course = Course::new(4);
        let nameless = Page { len: 4, total: None, ..Page::default() };
        let error = (0..100).find_map(|n| course.next(0, n * 3, &nameless).err());
        assert_eq!(error.expect("an end").code, "no_progress");
    }

    #[test]
    fn a_list_that_shows_nothing_and_says_that_there_is_more_ends_with_an_error() {
        let mut course = Course::new(4);
        course.next(0, 0, &page(&[1, 2, 3, 4], Some(u64::MAX))).unwrap();
        let empty = page(&[], Some(u64::MAX));
        let error = (1..1000).find_map(|n| course.next(4, n * 3, &empty).err());
        assert_eq!(error.expect("an end").code, "no_progress");
    }

    #[test]
    fn a_list_that_contradicts_itself_is_given_up() {
        let mut course = Course::new(4);
        let error = (0..100).find_map(|_| course.next(5, 90, &page(&[7], Some(99))).err());
        assert_eq!(error.unwrap().code, "restless_list");
    }
}
