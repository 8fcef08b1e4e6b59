use super::*;

fn check(policy: &str, url: &str, allow_http: bool) -> Result<Target> {
    AddressPolicy::parse(policy).unwrap().check(&Url::parse(url).unwrap(), allow_http)
}

#[test]
fn the_tables_hold_only_networks_that_parse() {
    assert_eq!(V4.len(), V4_NETS.len());
    assert_eq!(V6.len(), V6_NETS.len());
}

#[test]
fn addresses_that_are_not_public_are_refused_in_every_form() {
    let hosts = [
        // Written out, and as the other forms that getaddrinfo and browsers read as IPv4.
        "127.0.0.1",
        "127.255.255.254",
        "127.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "１２７.0.0.1",
        "0.0.0.0",
        "0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "012.0.0.1",
        "0xa.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "192.168.255.255",
        "3232235777",
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "169.254.1.1",
        "168.63.129.16",
        "100.64.0.1",
        "100.100.100.200",
        "100.127.255.255",
        "192.0.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "198.51.100.7",
        "203.0.113.9",
        "192.88.99.1",
        "198.18.0.1",
        "198.19.255.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "4294967295",
        "[::]",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::ffff:8.8.8.8]",
        "[::ffff:0:127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::1]",
        "[100::1]",
        "[2001::1]",
        "[2001:10::1]",
        "[2001:db8::1]",
        "[2002:7f00:1::1]",
        "[2002:808:808::1]",
        "[3fff::1]",
        "[4000::1]",
        "[5f00::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[fdff::1]",
        "[fe80::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[200::1]",
    ];
    for host in hosts {
        let url = format!("https://{host}/wp-json");
        let error = check("", &url, true).expect_err(host);
        assert_eq!(
            (error.code.as_str(), error.category),
            ("private_address", Category::Validation)
        );
        assert!(error.hint.unwrap().contains("easysync.allowed_private_hosts"), "{host}");
        assert!(!error.retryable);
    }
}

#[test]
fn public_addresses_and_names_pass() {
    let hosts = [
        "shop.example",
        "8.8.8.8",
        "1.1.1.1",
        "11.0.0.1",
        "100.63.255.255",
        "100.128.0.1",
        "126.255.255.255",
        "128.0.0.1",
        "169.253.255.255",
        "172.15.255.255",
        "172.32.0.1",
        "192.0.1.1",
        "192.167.255.255",
        "192.169.0.1",
        "198.17.255.255",
        "198.20.0.1",
        "223.255.255.255",
        "[2606:4700::1111]",
        "[2001:4860:4860::8888]",
        "[2a00:1450::1]",
        "[64:ff9b::8.8.8.8]",
        "10.shop.example",
        "127.0.0.1.shop.example",
    ];
    for host in hosts {
        let target = check("", &format!("https://{host}/"), false).expect(host);
        assert!(!target.listed);
    }
}

#[test]
fn plain_http_needs_the_setting_or_the_list() {
    let refused = check("", "http://shop.example/", false).unwrap_err();
    assert_eq!(refused.code, "http_refused");
    assert_eq!(refused.message, "\"shop.example\" is not called by plain http");
    assert!(check("", "http://shop.example/", true).is_ok());
    assert!(check("shop.example", "http://shop.example/", false).unwrap().listed);
    assert_eq!(check("", "http://10.0.0.1/", true).unwrap_err().code, "private_address");
}

#[test]
fn other_schemes_and_user_names_are_refused_without_being_shown() {
    for url in ["ftp://shop.example/", "ws://shop.example/"] {
        assert_eq!(check("shop.example", url, true).unwrap_err().code, "invalid_url", "{url}");
    }
    for url in ["file:///etc/passwd", "data:text/plain,x", "mailto:a@shop.example"] {
        assert_eq!(check("", url, true).unwrap_err().code, "invalid_url", "{url}");
    }
    for url in [
        "https://u:geheim@shop.example/",
        "https://geheim@shop.example/",
        "https://:geheim@shop.example/",
    ] {
        let error = check("shop.example", url, true).unwrap_err();
        assert_eq!(error.code, "userinfo_refused");
        assert!(!error.message.contains("geheim"));
    }
}

#[test]
fn a_listed_host_counts_with_its_port_or_all_ports_in_any_case() {
    let cases = [
        ("localhost", "http://localhost:8080/", true),
        ("LOCALHOST", "http://LocalHost/", true),
        ("localhost.", "http://localhost/", true),
        ("localhost:8443", "https://localhost:8443/", true),
        ("localhost:8443", "https://localhost:8444/", false),
        ("localhost:443", "https://localhost/", true),
        ("localhost:80", "http://localhost/", true),
        ("localhost:80", "http://localhost:8080/", false),
        ("127.0.0.1:8080", "http://127.0.0.1:8080/", true),
        ("127.0.0.1", "http://127.0.0.2/", false),
        ("127.1", "http://127.0.0.1/", true),
        ("[::1]:9000", "http://[::1]:9000/", true),
        ("[::1]", "http://[0:0:0:0:0:0:0:1]/", true),
        ("a.test, b.test c.test\n\td.test,,", "http://d.test/", true),
        ("shop.test", "http://evil-shop.test/", false),
        ("shop.test", "http://shop.test.evil.example/", false),
        ("", "http://localhost/", false),
    ];
    for (list, url, listed) in cases {
        let policy = AddressPolicy::parse(list).unwrap();
        let url = Url::parse(url).unwrap();
        let allows = policy.allows(url.host_str().unwrap(), url.port_or_known_default().unwrap());
        assert_eq!(allows, listed, "{list:?} {url}");
    }
}

#[test]
fn an_entry_that_is_no_host_is_named() {
    for list in ["http://localhost", "a.test, local/host", "a@b", "x:99999", "[::1", ":80", "a b?c"]
    {
        let error = AddressPolicy::parse(list).expect_err(list);
        assert_eq!(error.sqlstate(), "22023");
        assert!(error.message.contains("easysync.allowed_private_hosts"), "{}", error.message);
    }
}
