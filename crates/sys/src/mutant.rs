//! Defences that are left out on purpose, so that a test can show that it would notice.
//!
//! Each is a cargo feature of the crate that it is in, `mutant_rt_07`; none of them is in a release build, which a crate that has some
//! refuses to be. Of several that are in one build, `DEVOXX_MUTANT` names the one that is left out.

/// Whether a defence is left out here: `sys::mutant!("mutant_rt_07")`. Without its feature it is `false`, and nothing is left of the
/// question.
#[macro_export]
macro_rules! mutant {
    ($($feature:literal),+) => {
        false $(|| (cfg!(feature = $feature) && $crate::mutant::is_chosen($feature)))+
    };
}

/// Whether a mutant that is in this build is the one that is asked for.
pub fn is_chosen(feature: &str) -> bool {
    std::env::var_os("DEVOXX_MUTANT").is_none_or(|chosen| chosen == feature)
}
