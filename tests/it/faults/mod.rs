//! Every kind of trouble as a scripted, repeatable story: each ends in exactly the desired calendars.
//!
//! Of the numbers of the fault table, these modules hold:
//!
//! | fault | what | module |
//! |---|---|---|
//! | 2 | an answer lost after the provider did it | [`answer_lost`] |
//! | 6 | limits, and every form of `Retry-After` | [`limits`] |
//! | 7 | answers broken, late, endless, senseless | [`bad_answers`] |
//! | 8 | batches short, long, mixed up, refused | [`batches`] |
//! | 9 | 404, 409, 410, 412 on every operation | [`statuses`] |
//! | 10 | access that ends, narrows, is taken away | [`tokens`] |
//! | 12 | the same at once, out of order, a thousand times | [`races`] |
//! | 14 | one that always fails among good ones | [`poison`] |

mod answer_lost;
mod bad_answers;
mod batches;
mod case;
mod limits;
mod poison;
mod races;
mod statuses;
mod tokens;
