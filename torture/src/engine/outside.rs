//! Another machine, on a link of its own to the host: a network namespace.

use super::ground::Ground;
use testkit::outcome::run;
use testkit::{Outcome, Running, deadline};

/// A machine; when it goes, the kernel takes its link along.
pub struct Outside<'a> {
    ground: &'a Ground,
    holder: Running,
}

impl<'a> Outside<'a> {
    /// One at `NET.2`, for which the host is `NET.1` and its way out.
    #[track_caller]
    pub fn new(ground: &'a Ground, link: &str, net: &str) -> Self {
        let host = &ground.host;
        let holder = Running::start(&mut host.admin_script("exec unshare --net sleep 1000"));
        let own = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        deadline::wait_for("another network namespace", || {
            let found = own(holder.pid)?;
            let left = own(host.pid()) != Some(found.clone())
                && own(std::process::id().cast_signed()) != Some(found);
            left.then_some(())
        });
        let pid = holder.pid;
        host.admin(&format!(
            "test {} = 0 || echo 1 >/proc/sys/net/ipv4/ip_forward # root's engine does so itself
            ip link add {link} type veth peer name eth0 netns {pid}; ip address add {net}.1/24 dev {link}; ip link set {link} up
            nsenter -t {pid} -n sh -euc 'ip link set lo up; ip address add {net}.2/24 dev eth0; ip link set eth0 up
                ip route add default via {net}.1'",
            host.user()
        ));
        Self { ground, holder }
    }

    /// A program in it.
    #[track_caller]
    pub fn spawn(&self, words: &str) -> Running {
        Running::start(
            &mut self.ground.host.admin_script(&format!("exec nsenter -t {} -n {words}", self.holder.pid)),
        )
    }

    /// What a web server says to it.
    #[track_caller]
    pub fn get(&self, url: &str) -> Outcome {
        let pid = self.holder.pid;
        let get = format!("exec nsenter -t {pid} -n curl -sf --noproxy '*' --max-time 5 {url}");
        run(&mut self.ground.host.admin_script(&get))
    }
}
