//! The world that the examples of all rules are set in.

use super::rule::Example;
use crate::engine::Files;

/// The manifest.
pub const MANIFEST: &str = "name = \"example\"\n";

/// The schema.
pub const SCHEMA: &str = "\
entity Role in [Role];
entity Site { region: String };
entity User in [Role] { handle: String, level: Long, site?: Site };
entity Device in [Site] { site: Site, owner?: User, topic: String } tags datetime;
type Session = { ip: ipaddr, mfa?: Bool };
action manage;
action read, stop appliesTo {
  principal: [User], resource: [Device],
  context: { now: datetime, session: Session, risk?: Long, break_glass?: Bool },
};
action command, configure in [manage] appliesTo {
  principal: [User], resource: [Device],
  context: { now: datetime, session: Session, risk?: Long, break_glass?: Bool },
};
";

/// The entities.
pub const ENTITIES: &str = r#"[
  {"uid": {"type": "Role", "id": "operator"}, "attrs": {}, "parents": []},
  {"uid": {"type": "Role", "id": "auditor"}, "attrs": {}, "parents": []},
  {"uid": {"type": "Site", "id": "plant"}, "attrs": {"region": "eu"}, "parents": []},
  {"uid": {"type": "User", "id": "ann"}, "attrs": {"handle": "ann", "level": 3},
   "parents": [{"type": "Role", "id": "operator"}]},
  {"uid": {"type": "Device", "id": "press"},
   "attrs": {"site": {"__entity": {"type": "Site", "id": "plant"}}, "topic": "plant/press"},
   "parents": [{"type": "Site", "id": "plant"}]}
]
"#;

/// A template and a link of it.
pub const SHARED: Example = Example::with(
    r#"@id("share")
permit (principal == ?principal, action == Action::"read", resource == ?resource);"#,
    &[(
        "links/shares.json",
        r#"[{"template_id": "share", "link_id": "press-with-ann",
  "args": {"?principal": "User::\"ann\"", "?resource": "Device::\"press\""}}]"#,
    )],
);

/// The file that the policies of an example are in.
pub const POLICIES: &str = "policies/example.cedar";

impl Example {
    /// The example as a repository.
    pub fn files(&self) -> Files {
        let world = [
            ("manifest.toml", MANIFEST),
            ("world.cedarschema", SCHEMA),
            ("entities/world.json", ENTITIES),
            (POLICIES, self.policies),
        ];
        let all = world.iter().chain(self.besides);
        // An empty text takes a file of the world away.
        let all = all.map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()));
        let removed: Vec<&str> = self
            .besides
            .iter()
            .filter(|(_, text)| text.is_empty())
            .map(|(path, _)| *path)
            .collect();
        Files::new(all.filter(|(path, _)| !removed.contains(&path.as_str())))
    }
}
