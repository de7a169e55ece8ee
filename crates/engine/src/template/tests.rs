//! What docker's users type, and what nobody would.

use super::Template;
use proptest::prelude::*;
use serde_json::{Value, json};

fn data() -> Value {
    json!({
        "Id": "4c01", "Name": "/web", "Count": 3, "Part": 1.5, "Yes": true, "Empty": "", "Nil": null,
        "State": {"Status": "running", "Health": null, "Pid": 42},
        "Config": {"Env": ["A=1", "B=2"], "Labels": {"a": "x", "b.c": "y"}, "Cmd": null},
        "NetworkSettings": {
            "Networks": {"bridge": {"IPAddress": "172.30.0.2"}, "other": {"IPAddress": "10.0.0.2"}},
            "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "81/tcp": null},
        },
    })
}

#[test]
fn templates() {
    fn check(template: &str, expected: &str) {
        let rendered = Template::parse(template).and_then(|template| template.render(&data()));
        assert_eq!(rendered.map_err(|error| error.to_string()), Ok(expected.to_owned()), "{template}");
    }
    check("", "");
    check("text }} and { more", "text }} and { more");
    check("{{.Id}} {{.ID}}", "4c01 4c01");
    check("{{.State.Status}}", "running");
    check("{{ .State.Pid }}/{{.Part}}/{{.Yes}}", "42/1.5/true");
    check("a {{- .Id -}} b", "a4c01b");
    check("a {{/* no */}} b{{- /* trimmed */ -}} c", "a  bc");
    check("{{\"{{\"}}{{`}}`}}", "{{}}");
    check("{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}", "none");
    check("{{if .Empty}}a{{else if .Yes}}b{{else}}c{{end}}", "b");
    check("{{with .State}}{{.Pid}} {{$.Id}}{{end}}{{with .Nil}}x{{else}}{{.Id}}{{end}}", "42 4c014c01");
    check("{{range .Config.Env}}{{println .}}{{end}}", "A=1\nB=2\n");
    check("{{range $i, $e := .Config.Env}}{{$i}}:{{$e}},{{end}}", "0:A=1,1:B=2,");
    check("{{range .Config.Cmd}}x{{else}}none{{end}}", "none");
    check("{{range .Config.Env}}{{.}}{{break}}{{end}}", "A=1");
    check("{{range .Config.Env}}{{if eq . \"A=1\"}}{{continue}}{{end}}{{.}}{{end}}", "B=2");
    check(
        "{{range $k, $v := .NetworkSettings.Networks}}{{$k}}={{$v.IPAddress}} {{end}}",
        "bridge=172.30.0.2 other=10.0.0.2 ",
    );
    check("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "172.30.0.210.0.0.2");
    check("{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}", "8080");
    check("{{(index .NetworkSettings.Ports \"80/tcp\" 0).HostPort}}", "8080");
    check(
        "{{.Config.Labels.a}} {{.Config.Labels.nope}} {{index .Config.Labels \"b.c\"}}[{{index .Config.Labels \"nope\"}}]",
        "x <no value> y[]",
    );
    check("{{json .Config.Env}} {{.State.Pid | json}} {{json .Nil}}", r#"["A=1","B=2"] 42 null"#);
    check(
        "{{join .Config.Env \",\"}} {{split \"a-b\" \"-\"}} {{.Config.Labels}}",
        "A=1,B=2 [a b] map[a:x b.c:y]",
    );
    check("{{.Name | upper | printf \"%s-%d\" | len}}", "17");
    check(
        "{{upper .Name}} {{lower \"ABC\"}} {{title \"ab cd\"}} {{slice .Name 1}} {{slice .Id 1 3}}",
        "/WEB abc Ab Cd web c0",
    );
    check(
        "{{printf \"%-6s|%6s|%.2f|%03d|%q|%v|%x|%%\" .Id .Id .Part .Count .Id .Yes 255}}",
        "4c01  |  4c01|1.50|003|\"4c01\"|true|ff|%",
    );
    check("{{printf \"%d\"}} {{printf \"x\" 1}} {{printf \"%d\" \"a\"}}", "%!d(MISSING) x%!(EXTRA 1) %!d(a)");
    check(
        "{{eq .Count 3}} {{eq .Count 1 2 3}} {{ne .Id \"x\"}} {{lt 1 2}} {{ge 1.5 .Part}} {{gt \"b\" \"a\"}} {{le 2 1}}",
        "true true true true true true false",
    );
    check("{{and .Yes .Id}} {{or .Empty .Id}} {{not .Yes}} {{and .Nil .Nil.X}}", "4c01 4c01 false <nil>");
    check("{{$x := .Id}}{{$x}}{{$x = \"new\"}}{{$x}}{{if .Yes}}{{$x := 1}}{{end}}{{$x}}", "4c01newnew");
    check("{{print 1 2 \"a\" 3}} {{println}}", "1 2a3 \n");
    check(
        "{{pad \"x\" 1 2}}|{{truncate \"abcdef\" 3}}|{{len .Nil}}|{{'a'}}|{{0x10}}|{{-1}}|{{1e3}}",
        " x  |abc|0|97|16|-1|1000.0",
    );
}

#[test]
fn mistakes_name_their_place() {
    fn check(template: &str, words: &[&str]) {
        let rendered = Template::parse(template).and_then(|template| template.render(&data()));
        let error = rendered.expect_err(template).to_string();
        for word in words {
            assert!(error.contains(word), "{template}: {error} lacks {word}");
        }
        assert!(!error.contains('\n'), "{template}: {error}");
    }
    check("{{.Foo}}", &["line 1, column 3", "Foo"]);
    check("a\nbc{{.State.Foo}}", &["line 2, column 5", "\"Foo\" in .State"]);
    check("{{.State.Status.More}}", &["More", ".State.Status", "a text"]);
    check("{{.State.Health.Status}}", &["Status", "it is empty here"]);
    check("{{", &["unclosed action"]);
    check("{{.Id", &["column 1", "unclosed action"]);
    check("{{}}", &["says nothing"]);
    check("{{end}}", &["without a block"]);
    check("{{else}}", &["without a block"]);
    check("{{if .Yes}}", &["{{if}} has no {{end}}"]);
    check("{{if}}x{{end}}", &["a value is missing"]);
    check("{{if .Yes}}{{else}}{{else}}{{end}}", &["second {{else}}"]);
    check("{{nope .Id}}", &["column 3", "no function \"nope\""]);
    check("{{.Id | .Name}}", &["takes no argument"]);
    check("{{.Id .Name}}", &["argument"]);
    check("{{\"a}}", &["unclosed string"]);
    check("{{`a}}", &["unclosed string"]);
    check("{{'ab'}}", &["single quotes"]);
    check("{{\"\\z\"}}", &["escape"]);
    check("{{(.Id}}", &["unclosed ("]);
    check("{{.Id)}}", &["unexpected )"]);
    check("{{| len}}", &["in front of |"]);
    check("{{.Id |}}", &["a value is missing"]);
    check("{{$x}}", &["no variable $x"]);
    check("{{$x = 1}}", &["no variable $x"]);
    check("{{12a}}", &["not a number"]);
    check("{{99999999999999999999999e999}}", &["not a number"]);
    check("{{;}}", &["unexpected ';'"]);
    check("{{break}}", &["outside of a range"]);
    check("{{template \"x\"}}", &["not supported"]);
    check("{{range .Id}}{{end}}", &["range over a text"]);
    check("{{len .Yes}}", &["len needs"]);
    check("{{eq .Id 1}}", &["eq needs"]);
    check("{{lt .Yes 1}}", &["lt needs"]);
    check("{{join .Id \",\"}}", &["join needs a list"]);
    check("{{index .Config.Env 9}}", &["[9]", "a list of 2"]);
    check("{{index .NetworkSettings.Ports \"81/tcp\" 0}}", &["[0]"]);
    check("{{index .Id \"a\"}}", &["cannot be the index"]);
    check("{{slice .Id 9}}", &["places within"]);
    check("{{upper}}", &["0 arguments"]);
    check("{{/* x}}", &["unclosed comment"]);
    check(&"{{(".repeat(1000), &["unexpected"]);
    check(&format!("{{{{{}1", "(".repeat(1000)), &["unclosed"]);
    check(&format!("{{{{{}1}}}}", "(".repeat(1000)), &["levels"]);
    check(&"{{if .Yes}}".repeat(1000), &["levels"]);
    check(&format!("{{{{if .Yes}}}}{}", "{{else if .Yes}}".repeat(1000)), &["levels"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_panics(parts in prop::collection::vec(prop_oneof![
        Just("{{".to_owned()), Just("}}".to_owned()), Just("{{-".to_owned()), Just(" -}}".to_owned()),
        Just("{{range .Config.Env}}".to_owned()), Just("{{if .Yes}}".to_owned()), Just("{{end}}".to_owned()),
        Just("{{else}}".to_owned()), Just(".State".to_owned()), Just(".Id ".to_owned()), Just("$x := ".to_owned()),
        Just("| ".to_owned()), Just("(".to_owned()), Just(")".to_owned()), Just("\"%5.3q\\".to_owned()),
        Just("index ".to_owned()), Just("printf ".to_owned()), Just("slice ".to_owned()), Just("-9 ".to_owned()),
        Just("/*".to_owned()), Just("é'".to_owned()), "(?s).{0,6}",
    ], 0..16)) {
        let source = parts.concat();
        if let Err(error) = Template::parse(&source).and_then(|template| template.render(&data())) {
            prop_assert!(error.to_string().contains("line "));
        }
    }

    #[test]
    fn no_function_panics(name in prop::sample::select(&super::functions::NAMES[..]), arguments in prop::collection::vec(
        prop::sample::select(vec![".Id", ".Nil", ".Config.Env", ".Config.Labels", "-1", "0", "7", "1.5", "\"é\"", "\"\"",
            "\"%9999999999d %s %-3v %+.9f %x %c %q\"", "true", ".", "9223372036854775807"]), 0..5)) {
        let source = format!("{{{{{name} {}}}}}", arguments.join(" "));
        let _either = Template::parse(&source).and_then(|template| template.render(&data()));
    }
}

#[test]
fn what_a_terminal_would_obey_is_shown() {
    fn check(text: &str, shown: &str) {
        let data = json!({"key": [text], text: text});
        let expected = json!({"key": [shown], shown: shown});
        assert_eq!(super::printable(&data), expected, "{text:?}");
    }
    check("plain Ünï 1\n2\t3", "plain Ünï 1\n2\t3");
    check("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}");
    check("a\rb\u{8}\u{7f}", "a\\rb\\u{8}\\u{7f}");
    check("\u{9b}31m", "\\u{9b}31m");
    assert_eq!(super::printable(&json!([1, null, true])), json!([1, null, true]));
}
