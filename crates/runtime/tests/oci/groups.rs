//! Groups of the runtime's caller that a container keeps (crun's annotation).

use crate::world::root;
use serde_json::json;

#[test]
fn groups_of_the_caller_are_kept_where_that_is_asked_for() {
    let oci = root();
    let groups = |keep: &str| {
        let bundle = oci.bundle(|config| {
            config["process"]["args"] = json!(["id", "-G"]);
            config["process"]["user"]["additionalGids"] = json!([5]);
            config["annotations"] = json!({"run.oci.keep_original_groups": keep});
        });
        let run = format!(
            "setpriv --groups 7,8 -- \"$C\" --root {} run --bundle {} {}",
            testkit::bundle::ROOT,
            bundle.directory,
            bundle.id
        );
        oci.to_its_end(&mut oci.host.script(&run)).ok().stdout.trim().to_owned()
    };
    assert_eq!(groups("1"), "0 7 8");
    assert_eq!(groups("0"), "0 5");
}
