//! What a hostile server does to HTTP itself: framing, packing, headers, time.

use super::{Ends, Listed, at_once, judge, products, serve};
use crate::Attack;
use crate::yard::{in_yard, product};
use anyhow::{Result, ensure};
use easysync_tests::hostile::{Asked, Hostile, Reply, pack, pack_many};
use easysync_tests::run::Run;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const BROKEN: &[&str] =
    &["reset", "timeout", "bad_json", "circuit_open", "too_large", "bad_encoding"];
const JSON: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

const SLOW: &[Listed] =
    &[("customers", endless_name), ("products", drip), ("refunds", small_chunks)];

pub const ATTACKS: &[Attack] = &[
    Attack { name: "shop::checks_of_a_session_end_or_can_be_cancelled", run: checks },
    Attack {
        name: "shop::a_packed_page_of_sixty_four_megabytes",
        run: || products(|_| bomb(), Ends::Failed(&["too_large"])),
    },
    Attack {
        name: "shop::a_page_packed_twice",
        run: || products(|_| packed_twice(), Ends::Failed(BROKEN)),
    },
    Attack {
        name: "shop::packed_parts_that_hold_nothing_without_end",
        run: || products(|_| empty_parts(), Ends::Failed(BROKEN)),
    },
    Attack {
        name: "shop::a_packed_page_that_is_cut",
        run: || products(|_| cut_pack(), Ends::Failed(BROKEN)),
    },
    Attack {
        name: "shop::answers_that_go_on_as_long_as_they_may",
        run: || at_once(SLOW, timed_out),
    },
    Attack {
        name: "shop::hints_before_the_answer_without_end",
        run: || at_once(&[("customers", hints)], timed_out),
    },
    Attack {
        name: "shop::a_body_without_end",
        run: || {
            products(
                |_| Reply::endless(&format!("{JSON}\r\n["), vec![b' '; 65536], Duration::ZERO),
                Ends::Failed(BROKEN),
            )
        },
    },
    Attack {
        name: "shop::a_chunk_whose_extension_never_ends",
        run: || {
            products(
                |_| {
                    Reply::endless(
                        &format!("{JSON}transfer-encoding: chunked\r\n\r\n1;"),
                        vec![b'x'; 4096],
                        Duration::ZERO,
                    )
                },
                Ends::Failed(BROKEN),
            )
        },
    },
    Attack {
        name: "shop::a_chunk_larger_than_all_memory",
        run: || {
            products(
                |_| {
                    Reply::raw(format!(
                        "{JSON}transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n["
                    ))
                },
                Ends::Failed(BROKEN),
            )
        },
    },
    Attack {
        name: "shop::trailers_without_end",
        run: || {
            products(
                |_| {
                    Reply::endless(
                        &format!("{JSON}transfer-encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n"),
                        *b"x: y\r\n",
                        Duration::ZERO,
                    )
                },
                Ends::Failed(BROKEN),
            )
        },
    },
    Attack {
        name: "shop::headers_without_end",
        run: || {
            products(
                |_| Reply::endless("HTTP/1.1 200 OK\r\n", *b"set-cookie: a=b\r\n", Duration::ZERO),
                Ends::Failed(BROKEN),
            )
        },
    },
    Attack {
        name: "shop::a_header_without_end",
        run: || {
            products(
                |_| Reply::endless("HTTP/1.1 200 OK\r\nx: ", vec![b'x'; 4096], Duration::ZERO),
                Ends::Failed(BROKEN),
            )
        },
    },
    Attack {
        name: "shop::a_status_line_without_end",
        run: || {
            products(
                |_| Reply::endless("HTTP/1.1 200 ", vec![b'x'; 4096], Duration::ZERO),
                Ends::Failed(BROKEN),
            )
        },
    },
    Attack {
        name: "shop::an_upgrade_that_nobody_asked_for",
        run: || {
            products(
                |_| {
                    Reply::endless(
                        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
                        vec![b'x'; 4096],
                        Duration::ZERO,
                    )
                },
                Ends::Failed(&["reset", "timeout", "http_101", "circuit_open", "bad_json"]),
            )
        },
    },
    Attack {
        name: "shop::two_lengths_that_differ",
        run: || {
            products(
                |_| {
                    Reply::raw(format!(
                        "{JSON}content-length: 2\r\ncontent-length: 20\r\n\r\n[]{}",
                        " ".repeat(18)
                    ))
                },
                Ends::Failed(BROKEN),
            )
        },
    },
    Attack {
        name: "shop::a_length_of_2_to_64",
        run: || {
            products(
                |_| Reply::raw(format!("{JSON}content-length: 18446744073709551615\r\n\r\n[]")),
                Ends::Failed(BROKEN),
            )
        },
    },
    Attack {
        name: "shop::a_length_below_zero",
        run: || {
            products(
                |_| Reply::raw(format!("{JSON}content-length: -1\r\n\r\n[]")),
                Ends::Failed(BROKEN),
            )
        },
    },
    Attack {
        name: "shop::an_answer_that_is_no_http",
        run: || products(|_| Reply::raw("SSH-2.0-OpenSSH_9.2\r\n"), Ends::Failed(BROKEN)),
    },
    Attack {
        name: "shop::silence_and_an_end",
        run: || products(|_| Reply::raw(""), Ends::Failed(BROKEN)),
    },
    Attack {
        name: "shop::an_empty_success",
        run: || {
            products(
                |asked| Reply::new([200, 204, 205][asked.number % 3], "", ""),
                Ends::Failed(BROKEN),
            )
        },
    },
    Attack {
        name: "shop::a_part_that_was_not_asked_for",
        run: || {
            products(
                |_| {
                    Reply::new(
                        206,
                        "content-range: bytes 0-1/99\r\ncontent-type: application/json\r\n",
                        "[]",
                    )
                },
                Ends::Well,
            )
        },
    },
    Attack {
        name: "shop::not_modified_without_having_asked",
        run: || {
            products(
                |_| Reply::new(304, "", ""),
                Ends::Failed(&["http_304", "redirect", "bad_json"]),
            )
        },
    },
    Attack {
        name: "shop::a_list_that_says_it_is_a_picture",
        run: || {
            products(
                |_| {
                    Reply::new(
                        200,
                        "content-type: image/png\r\nx-wp-total: 1\r\n",
                        format!("[{}]", product(1)),
                    )
                },
                Ends::Well,
            )
        },
    },
    Attack {
        name: "shop::a_page_in_utf_16",
        run: || {
            products(
                |_| Reply::json("[]".encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>()),
                Ends::Failed(&["bad_json", "bad_encoding"]),
            )
        },
    },
    Attack {
        name: "shop::an_endless_wait_that_it_asks_for",
        run: || {
            products(
                |_| Reply::new(429, "retry-after: 99999999999999999999\r\n", ""),
                Ends::Failed(&["http_429"]),
            )
        },
    },
    Attack {
        name: "shop::a_wait_of_nothing_again_and_again",
        run: || {
            products(
                |_| Reply::new(429, "retry-after: 0\r\n", ""),
                Ends::Failed(&["http_429", "circuit_open"]),
            )
        },
    },
    Attack {
        name: "shop::a_maintenance_without_end",
        run: || {
            products(
                |_| Reply::new(503, "retry-after: 86400\r\n", "x".repeat(1 << 20)),
                Ends::Failed(&["http_503"]),
            )
        },
    },
    Attack {
        name: "shop::an_error_of_a_gigabyte",
        run: || {
            products(
                |_| {
                    Reply::endless(
                        "HTTP/1.1 400 X\r\ncontent-type: application/json\r\n\r\n{\"code\":\"",
                        vec![b'x'; 65536],
                        Duration::ZERO,
                    )
                },
                Ends::Failed(&["http_400", "bad_json"]),
            )
        },
    },
    Attack {
        name: "shop::an_error_with_control_characters",
        run: || {
            products(
                |_| {
                    Reply::new(
                        400,
                        "content-type: application/json\r\n",
                        "{\"code\":\"a\\u0000\\u001b[31m\",\"message\":\"\\u001b]0;x\\u0007\\r\\nHTTP/1.1 200\",\"data\":{\"status\":1e400}}",
                    )
                },
                Ends::Failed(&["refused"]),
            )
        },
    },
    Attack {
        name: "shop::dates_beyond_the_calendar",
        run: || {
            products(
                |_| {
                    Reply::json_with(
                        "date: Fri, 31 Dec 9999 23:59:59 GMT\r\nx-wp-total: 1\r\n",
                        format!("[{}]", product(1)),
                    )
                },
                Ends::Well,
            )
        },
    },
    Attack { name: "shop::a_clock_years_ahead_hides_no_change", run: clock_ahead },
    Attack { name: "shop::cookies_are_not_kept", run: cookies },
    Attack { name: "shop::a_redirect_to_a_private_address_is_not_followed", run: redirect },
];

fn gzip(body: Vec<u8>) -> Reply {
    Reply::json_with("content-encoding: gzip\r\n", body)
}

fn bomb() -> Reply {
    static BOMB: LazyLock<Vec<u8>> =
        LazyLock::new(|| pack_many(b"[", &[b' '; 1024], 1 << 16, b"]"));
    gzip(BOMB.clone())
}

fn packed_twice() -> Reply {
    Reply::json_with("content-encoding: gzip, gzip\r\n", pack(&pack(b"[]")))
}

/// A header of gzip with a file's name (RFC 1952, FNAME), which ends with a zero.
fn endless_name(_: &Asked) -> Reply {
    let mut reply = Reply::endless(
        &format!("{JSON}content-encoding: gzip\r\n\r\n"),
        vec![b'a'; 1 << 20],
        Duration::ZERO,
    );
    reply.body = vec![0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3];
    reply
}

fn drip(_: &Asked) -> Reply {
    Reply::endless(&format!("{JSON}\r\n["), *b" ", Duration::from_millis(200))
}

fn small_chunks(_: &Asked) -> Reply {
    let head = format!("{JSON}transfer-encoding: chunked\r\n\r\n");
    Reply::endless(&head, *b"1\r\n \r\n", Duration::ZERO)
}

fn hints(_: &Asked) -> Reply {
    Reply::endless("", *b"HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n", Duration::ZERO)
}

fn timed_out(run: &Run) -> Result<()> {
    judge(run, &[], Ends::Failed(&["timeout", "circuit_open", "too_large", "reset"]))
}

fn empty_parts() -> Reply {
    let parts = pack(b"").repeat(1000);
    Reply::endless(&format!("{JSON}content-encoding: gzip\r\n\r\n"), parts, Duration::ZERO)
}

fn cut_pack() -> Reply {
    let packed = pack(format!("[{}]", product(1)).as_bytes());
    gzip(packed[..packed.len() - 12].to_vec())
}

/// What one answer sets doesn't come back with the next call.
fn cookies() -> Result<()> {
    let hostile = Hostile::start(|_| {
        let cookies = "set-cookie: session=planted; Path=/; Max-Age=99999999\r\n".repeat(50);
        Reply::json_with(&format!("{cookies}x-wp-total: 0\r\n"), "[]")
    })?;
    in_yard(|yard| {
        let connection = yard.connect(&hostile)?;
        let run = yard.run(&connection, "customers", "full")?;
        judge(&run, &[], Ends::Well)?;
        yard.run(&connection, "customers", "full")?;
        let seen = hostile.seen();
        ensure!(seen.len() >= 2, "{} calls", seen.len());
        let sent = seen.iter().any(|asked| asked.head.to_ascii_lowercase().contains("cookie"));
        ensure!(!sent, "a cookie was sent");
        yard.disconnect(&connection)
    })
}

/// A shop that once told a time in the future shows what changed afterwards all the same.
fn clock_ahead() -> Result<()> {
    static AHEAD: AtomicBool = AtomicBool::new(true);
    let hostile = serve("products", |asked| {
        if AHEAD.load(Relaxed) {
            let head = "date: Tue, 01 Jan 2199 00:00:00 GMT\r\nx-wp-total: 1\r\n";
            return Reply::json_with(head, format!("[{}]", product(1)));
        }
        // As a shop that is asked for what changed after a time.
        let after = asked.query.get("modified_after").map_or("", String::as_str);
        match after < "2100" {
            true => {
                Reply::json_with("x-wp-total: 2\r\n", format!("[{},{}]", product(1), product(2)))
            }
            false => Reply::json_with("x-wp-total: 0\r\n", "[]"),
        }
    })?;
    in_yard(|yard| {
        let connection = yard.connect(&hostile)?;
        judge(&yard.run(&connection, "products", "full")?, &[], Ends::Well)?;
        AHEAD.store(false, Relaxed);
        let run = yard.run(&connection, "products", "incremental")?;
        ensure!(run.status == "succeeded" && run.created == 1, "{run:?}");
        yard.disconnect(&connection)
    })
}

/// `connect` and `test_connection` ask the shop in the session of whoever calls them.
fn checks() -> Result<()> {
    let answers: [fn(&Asked) -> Reply; 7] = [
        drip,
        hints,
        endless_name,
        small_chunks,
        |_| empty_parts(),
        |_| bomb(),
        |_| Reply::endless("HTTP/1.1 500 X\r\n\r\n", vec![b'<'; 65536], Duration::ZERO),
    ];
    for answer in answers {
        let hostile = Hostile::start(answer)?;
        in_yard(|yard| {
            let settings = serde_json::json!({"url": hostile.url(), "allow_http": true});
            let keys = serde_json::json!({"consumer_key": "ck_1", "consumer_secret": "cs_1"});
            let connect = "select easysync.connect('checked', 'woocommerce', settings => $1, credentials => $2)";
            let code = yard.refused(connect, &[&settings, &keys])?;
            ensure!(!code.is_empty(), "it was connected");
            let connection = yard.connect(&hostile)?;
            yard.refused("select * from easysync.test_connection($1)", &[&connection])?;
            yard.disconnect(&connection)
        })?;
    }
    Ok(())
}

fn redirect() -> Result<()> {
    let inner = Hostile::start(|_| Reply::json("[]"))?;
    for status in [301, 302, 303, 307, 308] {
        let place = inner.url();
        let hostile = Hostile::start(move |_| {
            Reply::new(
                status,
                &format!("location: {place}/latest/meta-data\r\nrefresh: 0; url={place}\r\n"),
                "",
            )
        })?;
        in_yard(|yard| {
            let connection = yard.connect(&hostile)?;
            let run = yard.run(&connection, "customers", "full")?;
            judge(&run, &[], Ends::Failed(&["redirect"]))?;
            yard.disconnect(&connection)
        })?;
    }
    ensure!(inner.seen().is_empty(), "it was followed: {:?}", inner.seen());
    Ok(())
}
