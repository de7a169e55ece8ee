//! `run` as docker's users know it: codes, output, environment, user, directory, names, input, terminal.

use crate::world::{BUSYBOX, World};
use std::io::Write;
use std::process::Stdio;
use testkit::{Running, Snapshot};

#[test]
fn exit_codes_are_dockers() {
    for world in World::both() {
        let check = |command: &[&str], code: i32| drop(world.run(&[], command).code(code));
        check(&["true"], 0);
        check(&["false"], 1);
        check(&["sh", "-c", "exit 42"], 42);
        check(&["sh", "-c", "exit 255"], 255);
        check(&["sh", "-c", "sh -c 'kill -KILL $$'; exit $?"], 137);
        check(&["sh", "-c", "sh -c 'kill -TERM $$'; exit $?"], 143);
        check(&["no-such-program"], 127);
        check(&["/no/such/program"], 127);
        check(&["/etc/passwd"], 126);
        check(&["/etc"], 126);
        world.run(&["--no-such-option"], &["true"]).refuses(125, &["--no-such-option"]);
    }
}

#[test]
fn standard_output_is_the_containers_alone() {
    for world in World::both() {
        let check = |script: &str, stdout: &str, stderr: &str| {
            let outcome = world.sh(&[], script).ok();
            assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), (stdout, stderr), "{script}");
        };
        check("true", "", "");
        check("echo out; echo err >&2", "out\n", "err\n");
        check("printf 'no line break'", "no line break", "");
        let much = world.sh(&[], "yes | head -c 3000000").ok();
        assert_eq!(much.stdout.len(), 3_000_000);
        // The pull of an image that is not here yet is told on standard error only.
        world.host.run(["run", "--rm", "127.0.0.1:5000/team/zstd:1", "echo", "pulled"]).ok().prints("pulled");
    }
}

#[test]
fn environment_comes_from_image_file_and_option() {
    for world in World::both() {
        std::fs::write(world.host.path("/tmp/env"), "# a comment\n\nFROM_FILE=file\nBOTH=file\nUSER\n")
            .expect("env file");
        let check = |options: &[&str], variable: &str, value: &str| {
            world.sh(options, &format!("echo \"${{{variable}-unset}}\"")).ok().prints(value);
        };
        check(&[], "PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        check(&[], "HOME", "/root");
        check(&[], "DEVOXX_ROOT", "unset");
        check(&["-e", "A=1"], "A", "1");
        check(&["-e", "A=1=2 3"], "A", "1=2 3");
        check(&["-e", "A="], "A", "");
        check(&["--env", "A=1", "-e", "A=2"], "A", "2");
        check(&["-e", "HOME=/else"], "HOME", "/else");
        check(&["-e", "DEVOXX_RUN"], "DEVOXX_RUN", "/tmp/run");
        check(&["-e", "NOT_SET_HERE"], "NOT_SET_HERE", "unset");
        check(&["--env-file", "/tmp/env"], "FROM_FILE", "file");
        check(&["--env-file", "/tmp/env", "-e", "BOTH=option"], "BOTH", "option");
        check(&["--hostname", "named"], "HOSTNAME", "named");
    }
}

#[test]
fn user_and_directory() {
    for world in World::both() {
        let check = |options: &[&str], script: &str, expected: &str| {
            drop(world.sh(options, script).ok().prints(expected))
        };
        check(&[], "id -u; id -g; pwd", "0\n0\n/");
        check(&["-u", "app"], "id -u; id -g; id -G; echo $HOME", "1000\n1000\n1000 2000\n/home/app");
        check(&["-u", "1000"], "id -u; id -g", "1000\n1000");
        check(&["-u", "1234:5678"], "id -u; id -g", "1234\n5678");
        check(&["--user", "app:daemon"], "id -u; id -g", "1000\n1");
        check(&["-w", "/tmp"], "pwd", "/tmp");
        check(&["-w", "/made/for/it"], "pwd", "/made/for/it");
        world.sh(&["-u", "nobody-knows"], "true").refuses(125, &["nobody-knows"]);
    }
}

/// Users of an image, whose /etc/passwd and /etc/group may say anything.
#[test]
fn users_that_an_image_has() {
    for world in World::both() {
        let make = |name: &str, script: &str| {
            let words = ["run", "--net", "none", "--name", name, BUSYBOX, "sh", "-c", script];
            world.host.run(words).ok();
            world.host.run(["commit", name, name]).ok();
            world.host.run(["rm", name]).ok();
        };
        let run = |image: &str, user: &str, options: &[&str], script: &str| {
            let words = ["run", "--rm", "--net", "none", "-u", user];
            world.host.run([&words, options, &[image, "sh", "-c", script]].concat())
        };
        let groups = "grep ^Groups: /proc/self/status | tr -s ' \t' ' '";
        make(
            "odd",
            "cat >>/etc/passwd <<END
-1:x:0:0:::
+1:x:0:0:::
 0:x:0:0:::
0x0:x:0:0:::
2147483648:x:0:0:::
4294967296:x:0:0:::
ghost:x:4294967295:4294967295:::
lost:x:1001:4294967295:::
most:x:2147483647:1000:::
END
echo ghosts:x:4294967295:app >>/etc/group",
        );
        // CVE-2024-40635; and setresuid(2) takes 2^32-1 for `as it is`, which is root.
        for user in ["+1", " 0", "0x0", "2147483648", "4294967295", "4294967296", "99999999999", "app:-1"] {
            run("odd", user, &[], "id -u").refuses(125, &["id \""]);
        }
        world
            .host
            .run(["run", "--rm", "--net", "none", "--user=-1", "odd", "id"])
            .refuses(125, &["id \"-1\""]);
        run("odd", "ghost", &[], "id -u").refuses(125, &["ghost", "no usable id"]);
        run("odd", "lost", &[], "id -u").refuses(125, &["lost", "no usable group"]);
        run("odd", "app:ghosts", &[], "id -u").refuses(125, &["ghosts"]);
        run("odd", "65534", &[], "id -u").ok().prints("65534");
        if world.host.user() == 0 {
            run("odd", "most", &[], "id -u; id -g").ok().prints("2147483647\n1000");
        }
        // The own group is one of them (CVE-2022-36109), and none of those that the command had.
        run("odd", "app", &[], groups).ok().prints("Groups: 1000 2000");
        run("odd", "1000", &[], groups).ok().prints("Groups: 1000 2000");
        run("odd", "app:2000", &[], groups).ok().prints("Groups: 2000");
        run("odd", "5000", &[], groups).ok().prints("Groups: 0");
        run("odd", "app", &["--group-add", "3000"], groups).ok().prints("Groups: 1000 2000 3000");
        world.host.run(["run", "-d", "--net", "none", "--name", "up", "odd", "sleep", "1000"]).ok();
        let exec = |user: &str| world.host.run(["exec", "-u", user, "up", "sh", "-c", groups]);
        exec("app").ok().prints("Groups: 1000 2000");
        exec("app:2000").ok().prints("Groups: 2000");
        exec("ghost").refuses(125, &["no usable id"]);
        exec(" 0").refuses(125, &["neither a number nor a name"]);
        world.host.run(["rm", "-f", "up"]).ok();
        make("fifo", "rm /etc/passwd; mkfifo /etc/passwd");
        make("device", "rm /etc/group; ln -s /dev/zero /etc/group");
        make("large", "head -c 11000000 /dev/zero >/etc/passwd");
        make("linked", "mv /etc/passwd /etc/there; ln -s /etc/there /etc/passwd");
        make("none", "rm /etc/passwd /etc/group");
        run("fifo", "app", &[], "id -u").refuses(125, &["/etc/passwd", "no regular file"]);
        run("device", "app", &[], "id -u").refuses(125, &["/etc/group"]);
        run("large", "app", &[], "id -u").refuses(125, &["/etc/passwd", "more than"]);
        run("linked", "app", &[], "id -u").ok().prints("1000");
        run("none", "1000", &[], "id -u").ok().prints("1000");
    }
}

#[test]
fn image_configuration_and_what_replaces_it() {
    for world in World::both() {
        let check = |args: &[&str], expected: &str| drop(world.host.run(args).ok().prints(expected));
        let image = "127.0.0.1:5000/team/config:1";
        check(&["run", "--rm", image], "from-entrypoint from-cmd");
        check(&["run", "--rm", image, "other"], "from-entrypoint other");
        check(&["run", "--rm", "--entrypoint", "echo", image], "");
        check(&["run", "--rm", "--entrypoint", "echo", image, "x"], "x");
        check(
            &["run", "--rm", "--entrypoint", "sh", image, "-c", "id -un; pwd; echo $GREETING"],
            "app\n/home/app/work\nhello",
        );
    }
}

#[test]
fn names_and_removal() {
    for world in World::both() {
        world.run(&[], &["true"]).ok();
        let before = Snapshot::take(&world.host);
        world.run(&["--name", "web"], &["hostname"]).ok();
        before.assert_same(&world.host, "run --rm");
        world.run(&["--name", "web", "--hostname", "shown"], &["hostname"]).ok().prints("shown");
        let short = world.run(&[], &["hostname"]).ok();
        assert!(
            short.line().len() == 12 && short.line().chars().all(|c| c.is_ascii_hexdigit()),
            "12 digits: {short}"
        );
        let kept = world.host.run(["run", "--name", "kept", BUSYBOX, "true"]).ok();
        assert_eq!(kept.stdout, "");
        assert!(world.host.run(["ps", "-a"]).ok().stdout.contains("kept"));
        world.run(&["--name", "kept"], &["true"]).refuses(125, &["kept"]);
        world.host.run(["stop", "kept"]).ok().prints("kept");
        world.host.run(["rm", "kept"]).ok().prints("kept");
        assert!(!world.host.run(["ps", "-a"]).ok().stdout.contains("kept"));
        before.assert_same(&world.host, "run and rm");
    }
}

#[test]
fn standard_input_with_i_only() {
    for world in World::both() {
        let check = |options: &[&str], input: &[u8], expected: &str| {
            let args = [&["run", "--rm"], options, &[BUSYBOX, "cat"]].concat();
            let mut command = world.host.command(args);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().expect("the program starts");
            let mut stdin = child.stdin.take().expect("stdin is a pipe");
            let input = input.to_vec();
            // In a thread: more than a pipe holds goes through only while the output is read. A container without -i
            // closes it unread.
            let writer = std::thread::spawn(move || stdin.write_all(&input).ok());
            let output = child.wait_with_output().expect("the program ends");
            writer.join().expect("the writer ends");
            assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{options:?}");
            assert!(output.status.success(), "{options:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        check(&["-i"], b"hello\n", "hello\n");
        check(&["-i"], b"", "");
        check(&[], b"hello\n", "");
        let long = "0123456789abcde\n".repeat(20_000);
        check(&["-i"], long.as_bytes(), &long);
    }
}

#[test]
fn terminal_with_t() {
    for world in World::both() {
        let check = |options: &str, script: &str, expected: &str| {
            let inner = format!("$C run --rm {options} {BUSYBOX} sh -c \"{script}\"");
            let outcome = world.host.sh(&format!("script -qec '{inner}' /dev/null")).ok();
            assert_eq!(outcome.stdout.replace('\r', "").trim(), expected, "{options} {script}");
        };
        check("-t", "test -t 0 && test -t 1 && test -t 2 && echo terminal", "terminal");
        check("-it", "tty", "/dev/pts/0");
        check("-it", "test -c /dev/console && echo console", "console");
        check("-i", "test -t 1 || echo none", "none");
        let code = world
            .host
            .sh(&format!("script -qec '$C run --rm -it {BUSYBOX} sh -c \"exit 7\"' /dev/null"))
            .code;
        assert_eq!(code, 7, "the code goes through a terminal");
        let refused = Running::start(&mut world.host.command(["run", "--rm", "-it", BUSYBOX, "true"])).wait();
        refused.refuses(125, &["terminal"]);
    }
}
