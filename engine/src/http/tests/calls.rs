//! One call: what is tried again, what is an error, what is refused.

use super::server::{Server, Step, answer, ok};
use super::*;
use crate::error::Category;

async fn get(server: &Server) -> Result<Response> {
    client(TestClock::new()).send(&Request::get(server.url("/a?secret=cs_1"))).await
}

async fn post(server: &Server) -> Result<Response> {
    client(TestClock::new()).send(&Request::post_json(server.url("/a"), "{}")).await
}

#[tokio::test]
async fn an_answer_comes_back_whole_with_its_status_and_headers() {
    let server = Server::start(vec![answer(404, "x-wp-total: 7\r\n", "{\"code\":\"x\"}")]).await;
    let response = get(&server).await.unwrap();
    assert_eq!(response.status, 404);
    assert_eq!(response.header("X-WP-Total"), Some("7"));
    assert_eq!(&response.body[..], b"{\"code\":\"x\"}");
    assert_eq!(response.attempts, 1);
    let head = server.seen()[0].to_ascii_lowercase();
    assert!(
        head.contains(&format!("user-agent: easysync/{}", env!("CARGO_PKG_VERSION"))),
        "{head}"
    );
}

#[tokio::test]
async fn a_get_is_tried_again_after_whatever_may_pass() {
    let broken = [
        ("a reset", Step::Reset),
        ("a cut body", Step::Answer("HTTP/1.1 200 X\r\ncontent-length: 99\r\n\r\n[1,".into())),
        (
            "a cut chunk",
            Step::Answer("HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n5\r\n[1,".into()),
        ),
        (
            "JSON cut where the connection ends the body",
            Step::Answer(
                "HTTP/1.1 200 X\r\ncontent-type: application/json\r\n\r\n[{\"id\":1},".into(),
            ),
        ),
        ("no answer", Step::Answer(String::new())),
        ("429", answer(429, "", "")),
        ("502", answer(502, "", "")),
        ("503", answer(503, "", "")),
        ("504", answer(504, "", "")),
    ];
    for (what, step) in broken {
        let server = Server::start(vec![step.clone(), step, ok()]).await;
        let response = get(&server).await.unwrap_or_else(|e| panic!("{what}: {e:?}"));
        assert_eq!(response.attempts, 3, "{what}");
        assert_eq!(&response.body[..], b"[]", "{what}");
    }
}

#[tokio::test]
async fn what_is_not_idempotent_is_sent_again_only_where_nothing_was_done() {
    for step in [Step::Reset, answer(502, "", ""), answer(503, "", ""), answer(504, "", "")] {
        let server = Server::start(vec![step, ok()]).await;
        let error = post(&server).await.unwrap_err();
        assert_eq!(error.category, Category::Network);
        assert_eq!(server.seen().len(), 1, "{}", error.code);
    }
    let server = Server::start(vec![answer(429, "", ""), ok()]).await;
    assert_eq!(post(&server).await.unwrap().attempts, 2);
    let server = Server::start(vec![Step::Reset, ok()]).await;
    let request = Request::post_json(server.url("/a"), "{}").idempotent(true);
    assert_eq!(client(TestClock::new()).send(&request).await.unwrap().attempts, 2);
    assert!(server.seen()[1].ends_with("{}"), "with its body");
}

#[tokio::test]
async fn a_refusal_is_never_tried_again() {
    for status in [400, 401, 403, 404, 409, 410, 413, 422, 500, 501] {
        let server = Server::start(vec![answer(status, "", "{}")]).await;
        let response = get(&server).await.unwrap();
        assert_eq!((response.status.as_u16(), server.seen().len()), (status, 1));
    }
}

#[tokio::test]
async fn a_500_is_tried_again_where_the_caller_says_so_and_its_body_is_the_end() {
    let server = Server::start(vec![answer(500, "", "boom")]).await;
    let request = Request::get(server.url("/a")).retry_500(true);
    let response = client(TestClock::new()).send(&request).await.unwrap();
    assert_eq!((response.status.as_u16(), response.attempts), (500, 5));
    assert_eq!(&response.body[..], b"boom");
}

#[tokio::test]
async fn the_last_failure_is_the_error_and_names_the_host_and_no_query() {
    let cases = [
        (Step::Reset, "reset", "the connection broke"),
        (
            answer(503, "", "<html>x@y.test"),
            "http_503",
            "down for maintenance or overloaded (HTTP 503)",
        ),
        (Step::Answer("HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\n[".into()), "reset", "broke"),
    ];
    for (step, code, text) in cases {
        let server = Server::start(vec![step]).await;
        let error = get(&server).await.unwrap_err();
        assert_eq!(error.code, code);
        assert_eq!(error.category, Category::Network);
        assert!(error.retryable);
        let start = format!("\"127.0.0.1:{}\" can not be reached: ", server.port);
        assert!(error.message.starts_with(&start), "{}", error.message);
        assert!(error.message.contains(text), "{}", error.message);
        assert!(!format!("{error:?}").contains("cs_1") && !format!("{error:?}").contains("y.test"));
        assert_eq!(server.seen().len(), 5);
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_refuses_the_connection() {
    let server = Server::start(vec![ok()]).await;
    let url = server.url("/");
    let port = server.port;
    drop(server);
    tokio::task::yield_now().await;
    let clock = TestClock::new();
    let request = Request::post_json(url, "{}");
    let error = client(clock.clone()).send(&request).await.unwrap_err();
    assert_eq!(error.code, "connection_refused");
    assert_eq!(
        error.message,
        format!("\"127.0.0.1:{port}\" can not be reached: connection refused")
    );
    assert_eq!(clock.waits().len(), 4, "nothing was sent, so even a POST is tried again");
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_told_as_such() {
    let url = Url::parse("https://no-such-shop.invalid/").unwrap();
    let request = Request::get(url).retry(RetryPolicy::NONE);
    let error = client(TestClock::new()).send(&request).await.unwrap_err();
    assert_eq!(error.code, "dns");
    assert_eq!(
        error.message,
        "\"no-such-shop.invalid\" can not be reached: its name can not be resolved"
    );
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_refused_unless_listed() {
    let server = Server::start(vec![ok()]).await;
    let url = Url::parse(&format!("http://localhost:{}/", server.port)).unwrap();
    let config =
        HttpConfig { policy: AddressPolicy::default(), ca_pem: None, clock: TestClock::new() };
    let open = ClientConfig { allow_http: true, ..ClientConfig::default() };
    let http = HttpContext::new(config.clone()).unwrap();
    let error = http.client("a", open).send(&Request::get(url.clone())).await.unwrap_err();
    assert_eq!(error.code, "private_address");
    assert!(error.message.contains("is a loopback address"), "{}", error.message);
    assert!(error.hint.as_ref().unwrap().contains("easysync.allowed_private_hosts"));
    assert!(!error.retryable);
    assert_eq!(server.seen().len(), 0);
    let policy = AddressPolicy::parse(&format!("localhost:{}", server.port)).unwrap();
    let http = HttpContext::new(HttpConfig { policy, ..config }).unwrap();
    http.client("a", ClientConfig::default()).send(&Request::get(url)).await.unwrap();
}

#[tokio::test]
async fn a_hanging_server_is_left_after_the_time_out() {
    let server = Server::start(vec![Step::Hang]).await;
    let request = Request::get(server.url("/"))
        .timeout(Duration::from_millis(50))
        .retry(RetryPolicy { attempts: 2, ..RetryPolicy::default() });
    let error = client(TestClock::new()).send(&request).await.unwrap_err();
    assert_eq!(error.code, "timeout");
    assert!(error.message.ends_with("no whole answer within 50ms"), "{}", error.message);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn too_large_an_answer_is_cut_announced_or_not() {
    let body = "x".repeat(70_000);
    let announced = answer(200, "", &body);
    let chunked = Step::Answer(format!(
        "HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n11170\r\n{body}\r\n0\r\n\r\n"
    ));
    let packed = Step::Answer(format!("HTTP/1.1 200 X\r\nconnection: close\r\n\r\n{body}"));
    for step in [announced, chunked, packed] {
        let server = Server::start(vec![step]).await;
        let request = Request::get(server.url("/")).max_response(60_000);
        let error = client(TestClock::new()).send(&request).await.unwrap_err();
        assert_eq!(error.code, "too_large");
        assert!(error.message.contains("more than 60000 bytes"), "{}", error.message);
        assert_eq!((error.retryable, server.seen().len()), (false, 1));
        let request = Request::get(server.url("/")).max_response(70_000);
        assert_eq!(client(TestClock::new()).send(&request).await.unwrap().body.len(), 70_000);
    }
}

#[tokio::test]
async fn a_redirect_is_an_error_that_says_where_it_points() {
    for status in [301, 302, 303, 307, 308] {
        let to = "location: https://other.test/wp-json/?consumer_key=ck_9\r\n";
        let server = Server::start(vec![answer(status, to, "")]).await;
        let error = get(&server).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.category), ("redirect", Category::Validation));
        assert!(error.whole().ends_with(": https://other.test/wp-json/"), "{}", error.whole());
        assert!(!error.message.contains("other.test"), "{}", error.message);
        assert!(!error.whole().contains("ck_9"));
        assert_eq!(server.seen().len(), 1);
    }
}

struct Nonces;
impl Signer for Nonces {
    fn sign(&self, attempt: &mut Attempt<'_>) -> Result<()> {
        let nonce = format!("{:x}", attempt.nonce);
        attempt.url.query_pairs_mut().append_pair("oauth_nonce", &nonce);
        let time = attempt.now.as_second();
        attempt.headers.insert("x-time", time.into());
        Ok(())
    }
}

#[tokio::test]
async fn every_attempt_is_signed_anew() {
    let server =
        Server::start(vec![answer(503, "", ""), answer(503, "retry-after: 9\r\n", ""), ok()]).await;
    let request = Request::get(server.url("/a")).signed_by(Arc::new(Nonces));
    client(TestClock::new()).send(&request).await.unwrap();
    let seen = server.seen();
    let part = |text: &str, from: &str| {
        let at = text.find(from).unwrap() + from.len();
        text[at..].split([' ', '\r']).next().unwrap().to_owned()
    };
    let nonces: std::collections::BTreeSet<_> =
        seen.iter().map(|text| part(text, "oauth_nonce=")).collect();
    assert_eq!(nonces.len(), 3);
    let times: Vec<i64> = seen.iter().map(|t| part(t, "x-time: ").parse().unwrap()).collect();
    assert!(times[2] >= times[1] + 9, "{times:?}");
}

struct Elsewhere;
impl Signer for Elsewhere {
    fn sign(&self, attempt: &mut Attempt<'_>) -> Result<()> {
        attempt.url.set_host(Some("169.254.169.254")).unwrap();
        Ok(())
    }
}

#[tokio::test]
async fn a_signature_can_not_move_a_call_past_the_address_check() {
    let server = Server::start(vec![ok()]).await;
    let request = Request::get(server.url("/a")).signed_by(Arc::new(Elsewhere));
    let error = client(TestClock::new()).send(&request).await.unwrap_err();
    assert_eq!(error.category, Category::Internal);
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn debug_shows_no_query_header_or_body() {
    let url = Url::parse("https://shop.test/orders?consumer_secret=cs_5").unwrap();
    let request = Request::post_json(url, "{\"email\":\"a@b.test\"}")
        .header(header::AUTHORIZATION, "Basic Y2s6Y3M=".parse().unwrap());
    assert_eq!(format!("{request:?}"), "POST shop.test/orders");
}
