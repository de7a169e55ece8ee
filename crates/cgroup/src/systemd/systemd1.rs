//! The calls that units are made with (org.freedesktop.systemd1(5), "The Manager Object").

use super::bus::{Bus, Failure};
use super::properties::Property;
use super::value::Value;
use crate::{Error, Kind, Result};

const NAME: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// The manager of units, of the system or of this user.
#[derive(Debug)]
pub(super) struct Manager {
    bus: Bus,
}

impl Manager {
    pub(super) fn open(user: bool) -> Result<Self> {
        Ok(Self { bus: Bus::open(user)? })
    }

    fn call(&mut self, member: &str, body: Vec<Value>) -> std::result::Result<Vec<Value>, Failure> {
        self.bus.call(NAME, PATH, MANAGER, member, body)
    }

    /// One of its own properties.
    pub(super) fn property(&mut self, name: &str) -> Result<Value> {
        let body = vec![Value::text(MANAGER), Value::text(name)];
        let answer = self.bus.call(NAME, PATH, "org.freedesktop.DBus.Properties", "Get", body)?;
        match answer.into_iter().next() {
            Some(Value::Variant(value)) => Ok(*value),
            _ => Err(Error::new(Kind::Other, format!("systemd does not say its {name}"))),
        }
    }

    /// Which systemd it is: `252.39-1~deb12u1` is 252.
    pub(super) fn version(&mut self) -> Result<u32> {
        let Value::Text(text) = self.property("Version")? else { return Ok(0) };
        let digits = text.trim_start_matches(|sign: char| !sign.is_ascii_digit());
        let end = digits.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(digits.len());
        Ok(digits[..end].parse().unwrap_or(0))
    }

    /// Starts a unit and waits until it has started.
    pub(super) fn start(&mut self, unit: &str, properties: Vec<Property>) -> Result<()> {
        self.subscribe()?;
        let body = vec![
            Value::text(unit),
            Value::text("replace"),
            list(properties),
            Value::Array("(sa(sv))".to_owned(), Vec::new()),
        ];
        let answer = match self.call("StartTransientUnit", body.clone()) {
            // One that failed stays until it is forgotten.
            Err(Failure::Said(name, text)) if name.ends_with(".UnitExists") => {
                self.forget(unit)?;
                self.call("StartTransientUnit", body).map_err(|again| {
                    let hint = "remove the container that uses it, or choose another name in cgroupsPath";
                    match again {
                        Failure::Said(again, _) if again == name => {
                            Error::new(Kind::InUse, text).with_hint(hint)
                        }
                        other => other.into(),
                    }
                })?
            }
            other => other?,
        };
        self.await_job(answer)
    }

    /// Changes properties of a unit, until it ends.
    pub(super) fn set(&mut self, unit: &str, properties: Vec<Property>) -> Result<()> {
        self.call("SetUnitProperties", vec![Value::text(unit), Value::Bool(true), list(properties)])?;
        Ok(())
    }

    /// Moves a process into the cgroup of a unit, or into one beneath it. What a user's manager may not, it asks the system's
    /// to do.
    pub(super) fn attach(&mut self, unit: &str, beneath: &str, pid: u32) -> Result<()> {
        let pids = Value::Array("u".to_owned(), vec![Value::U32(pid)]);
        self.call("AttachProcessesToUnit", vec![Value::text(unit), Value::text(beneath), pids])?;
        Ok(())
    }

    /// Stops a unit and waits until it has stopped.
    pub(super) fn stop(&mut self, unit: &str) -> Result<()> {
        self.subscribe()?;
        match self.call("StopUnit", vec![Value::text(unit), Value::text("replace")]) {
            Ok(answer) => self.await_job(answer)?,
            // It ends by itself with its last process.
            Err(Failure::Said(name, _)) if name.ends_with(".NoSuchUnit") => {}
            Err(failure) => return Err(failure.into()),
        }
        self.forget(unit)
    }

    /// Has it forget that a unit failed: one that did not, or is gone, it does not know.
    fn forget(&mut self, unit: &str) -> Result<()> {
        match self.call("ResetFailedUnit", vec![Value::text(unit)]) {
            Err(Failure::Broken(error)) => Err(error),
            Ok(_) | Err(Failure::Said(..)) => Ok(()),
        }
    }

    /// Asks to be told of the ends of jobs, before there is one.
    fn subscribe(&mut self) -> Result<()> {
        let rule = format!("type='signal',path='{PATH}',interface='{MANAGER}',member='JobRemoved'");
        let bus = "org.freedesktop.DBus";
        self.bus.call(bus, "/org/freedesktop/DBus", bus, "AddMatch", vec![Value::text(&rule)])?;
        match self.call("Subscribe", Vec::new()) {
            Err(Failure::Said(name, _)) if name.ends_with(".AlreadySubscribed") => Ok(()),
            other => Ok(other.map(drop)?),
        }
    }

    /// Waits for the end of the job that a call returned.
    fn await_job(&mut self, answer: Vec<Value>) -> Result<()> {
        let Some(Value::Path(job)) = answer.into_iter().next() else {
            return Err(Error::new(Kind::Other, "systemd does not say its job"));
        };
        let result = self.bus.signal(|message| match &message.body[..] {
            [_, Value::Path(done), _, Value::Text(result)]
                if *done == job && message.member == "JobRemoved" =>
            {
                Some(result.clone())
            }
            _ => None,
        })?;
        match result.as_str() {
            "done" => Ok(()),
            other => Err(Error::new(Kind::Other, format!("the job of systemd ended as {other:?}"))
                .with_hint("journalctl tells why")),
        }
    }
}

fn list(properties: Vec<Property>) -> Value {
    let one = |(name, value)| Value::Tuple(vec![Value::Text(name), Value::Variant(Box::new(value))]);
    Value::Array("(sv)".to_owned(), properties.into_iter().map(one).collect())
}
