//! Files to a snapshot, or to every fault of every file.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::SchemaFragment;
use cedar_policy::ValidationError;
use cedar_policy_core::ast;
use cedar_policy_core::ast::PolicyID;
use cedar_policy_core::parser::parse_policyset;
use cedar_policy_core::validator::ValidationMode;
use cedar_policy_core::validator::Validator;
use miette::Diagnostic;
use smol_str::SmolStr;

use super::access::Access;
use super::closest::closest;
use super::digest::Digest;
use super::fault::Fault;
use super::fault::Lines;
use super::fault::find_word;
use super::fault::last_part;
use super::fault::quoted;
use super::files::Files;
use super::files::Role;
use super::manifest::Manifest;
use super::manifest::Validation;
use super::nesting;
use super::nesting::Language;
use super::policy::Policy;
use super::policy::PolicyInfo;
use super::policy::Template;
use super::schema::Schema;
use super::snapshot::Snapshot;
use super::strip::Pool;

/// Compiles the manifest, schema and policies of a repository.
///
/// The result depends on nothing but the bytes. Policies are validated against
/// the schema in strict mode, unless the manifest says `validate = "off"`; a
/// repository without a schema compiles with a warning, and its requests are
/// then not checked either.
///
/// # Errors
/// Every fault of every file, in order of file and place.
pub fn compile(files: &Files) -> Result<Snapshot, Vec<Fault>> {
    stacker::grow(nesting::STACK_BYTES, || compile_here(files))
}

fn compile_here(files: &Files) -> Result<Snapshot, Vec<Fault>> {
    let mut compiler = Compiler::default();
    let manifest = compiler.manifest(files);
    let schema = compiler.schema(files);
    compiler.policies(files);
    if let Some(schema) = &schema {
        match manifest.validate {
            Validation::Strict => compiler.validate(schema),
            Validation::Off => {
                let fault = Fault::of_file(
                    "manifest.toml",
                    "policies are not checked against the schema",
                )
                .with_hint("remove `validate = \"off\"`, which is for experiments");
                compiler.warnings.push(fault.as_warning());
            }
        }
    } else if files.with_role(Role::Schema).next().is_none() {
        let fault = Fault::of_file(
            "schema",
            "there is no schema: policies and requests are not checked",
        )
        .with_hint("add a `*.cedarschema` file");
        compiler.warnings.push(fault.as_warning());
    }
    if compiler.faults.is_empty() {
        Ok(Snapshot::new(
            [
                files.policy_digest(),
                Digest::of_files(files.with_role(Role::Schema)),
            ],
            manifest,
            schema,
            compiler.policies,
            compiler.templates,
            compiler.warnings,
        ))
    } else {
        compiler
            .faults
            .sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        Err(compiler.faults)
    }
}

#[derive(Default)]
struct Compiler {
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
    policies: Vec<Policy>,
    templates: BTreeMap<SmolStr, Template>,
    /// Where each id was first seen.
    places: HashMap<SmolStr, String>,
    /// The text of each policy file, to place what the validator says.
    sources: HashMap<Arc<str>, Arc<str>>,
    accesses: HashMap<Arc<Access>, Arc<Access>>,
    pool: Pool,
}

impl Compiler {
    fn text(&mut self, file: &str, content: &[u8]) -> Option<Arc<str>> {
        match std::str::from_utf8(content) {
            Ok(text) => Some(text.into()),
            Err(error) => {
                self.faults
                    .push(Fault::not_utf8(file, content, error.valid_up_to()));
                None
            }
        }
    }

    /// The text of a file that Cedar's parser can take without overflowing the stack.
    fn shallow_text(&mut self, file: &str, content: &[u8], language: Language) -> Option<Arc<str>> {
        let text = self.text(file, content)?;
        let Some(at) = nesting::too_deep(&text, language) else {
            return Some(text);
        };
        let fault = Fault::at(file, &text, (at, 1).into(), "nested too deep")
            .with_hint("write it flatter, or split it into several policies");
        self.faults.push(fault);
        None
    }

    fn manifest(&mut self, files: &Files) -> Manifest {
        let Some((file, content)) = files.with_role(Role::Manifest).next() else {
            return Manifest::default();
        };
        let Some(text) = self.text(file, content) else {
            return Manifest::default();
        };
        Manifest::parse(file, &text).unwrap_or_else(|faults| {
            self.faults.extend(faults);
            Manifest::default()
        })
    }

    fn schema(&mut self, files: &Files) -> Option<Schema> {
        let mut fragments = Vec::new();
        let mut broken = false;
        let mut texts = Vec::new();
        for (file, content) in files.with_role(Role::Schema) {
            let Some(text) = self.shallow_text(file, content, Language::Schema) else {
                broken = true;
                continue;
            };
            texts.push((file, Arc::clone(&text)));
            match SchemaFragment::from_cedarschema_str(&text) {
                Ok((fragment, warnings)) => {
                    let warnings =
                        warnings.map(|w| Fault::from_cedar(file, &text, &w).as_warning());
                    self.warnings.extend(warnings);
                    fragments.push(fragment);
                }
                Err(error) => {
                    broken = true;
                    self.report(file, &text, &error);
                }
            }
        }
        if broken || fragments.is_empty() {
            return None;
        }
        let schema = cedar_policy::Schema::from_schema_fragments(fragments)
            .map_err(|error| self.schema_as_a_whole(&texts, &error))
            .ok()?;
        let core: &cedar_policy_core::validator::ValidatorSchema = schema.as_ref();
        let actions = core
            .action_entities()
            .map_err(|error| self.schema_as_a_whole(&texts, &error))
            .ok()?;
        Some(Schema::new(schema, &actions))
    }

    /// A fault of all schema files together, such as an undeclared type. Cedar
    /// does not say in which file, so each name that it lists is looked for.
    fn schema_as_a_whole(&mut self, texts: &[(&str, Arc<str>)], error: &dyn Diagnostic) {
        let message = error.to_string();
        let general = || "see the declarations of what is named here".to_owned();
        let mut names: Vec<&str> = quoted(&message).collect();
        let list = message.split_once(": ").filter(|_| names.is_empty());
        names.extend(list.iter().flat_map(|(_, list)| list.split(", ")));
        let places = names.iter().flat_map(|name| {
            let found = texts.iter().find_map(|(file, text)| {
                let word = find_word(text, name).or_else(|| find_word(text, last_part(name)))?;
                Some(Fault::at(file, text, word.into(), message.clone()))
            });
            found.into_iter()
        });
        let mut faults: Vec<Fault> = places.collect();
        if faults.is_empty() {
            faults.push(Fault::of_file(
                texts.last().map_or("schema", |(file, _)| file),
                message.clone(),
            ));
        }
        // Cedar's help is about the first name only.
        let help = error.help().filter(|_| faults.len() == 1);
        let hint = help.map_or_else(general, |help| help.to_string());
        self.faults
            .extend(faults.into_iter().map(|fault| fault.with_hint(&*hint)));
    }

    fn policies(&mut self, files: &Files) {
        let mut count = 0;
        for (file, content) in files.with_role(Role::Policies) {
            count += 1;
            let Some(text) = self.shallow_text(file, content, Language::Policies) else {
                continue;
            };
            let file: Arc<str> = file.into();
            self.sources.insert(Arc::clone(&file), Arc::clone(&text));
            match parse_policyset(&text) {
                Ok(set) => self.policy_file(&file, &text, &set),
                Err(errors) => {
                    for error in errors.iter() {
                        self.report(&file, &text, error);
                    }
                }
            }
        }
        if count == 0 {
            let fault = Fault::of_file(".", "there is no policy file").with_hint(
                "a policy repository has at least one `*.cedar` file; is this the right directory?",
            );
            self.faults.push(fault);
        }
    }

    fn policy_file(&mut self, file: &Arc<str>, text: &Arc<str>, set: &ast::PolicySet) {
        let lines = Lines::new(text);
        for policy in set.static_policies() {
            let info = PolicyInfo::new(policy.template(), file, &lines, ordinal(policy.id()));
            self.check_keep(&info, text, policy.loc());
            if !self.claim(&info.id, file, text, policy.loc(), info.line) {
                continue;
            }
            let cedar = policy.new_id(PolicyID::from_smolstr(info.id.clone()));
            let mut template =
                Template::new(Arc::new(cedar.template().clone()), info, &mut self.pool);
            self.share_access(&mut template);
            // A static policy has no slots, so it always is one.
            self.policies.extend(template.as_static(cedar));
        }
        for template in set.templates() {
            let info = PolicyInfo::new(template, file, &lines, ordinal(template.id()));
            self.check_keep(&info, text, template.loc());
            if !self.claim(&info.id, file, text, template.loc(), info.line) {
                continue;
            }
            let cedar = template.new_id(PolicyID::from_smolstr(info.id.clone()));
            let mut template = Template::new(Arc::new(cedar), info, &mut self.pool);
            self.share_access(&mut template);
            self.templates.insert(template.info.id.clone(), template);
        }
    }

    /// An answer that may be kept for a time that cannot be read would be kept
    /// for the configured one.
    fn check_keep(
        &mut self,
        info: &PolicyInfo,
        text: &Arc<str>,
        loc: Option<&cedar_policy_core::parser::Loc>,
    ) {
        let Some(written) = info.annotations.get("cache_ttl") else {
            return;
        };
        if info.keep_for.is_none() {
            let message = format!("`@cache_ttl(\"{written}\")` is not a time");
            let fault = match loc {
                Some(loc) => Fault::at(&info.file, text, loc.span, message),
                None => Fault::of_file(&info.file, message),
            };
            self.faults.push(fault.with_hint(
                "write a number and one of ms, s, m, h, up to 24h: `@cache_ttl(\"30s\")`",
            ));
        }
    }

    /// Takes an id for a policy; a second policy of the same id is a fault.
    fn claim(
        &mut self,
        id: &SmolStr,
        file: &Arc<str>,
        text: &Arc<str>,
        loc: Option<&cedar_policy_core::parser::Loc>,
        line: usize,
    ) -> bool {
        let place = format!("{file}:{line}");
        match self.places.get(id) {
            None => {
                self.places.insert(id.clone(), place);
                true
            }
            Some(first) => {
                let message = format!("two policies have the id `{id}`");
                let hint = format!("the other one is at {first}; give one of them another `@id`");
                let start = loc.map_or(0, cedar_policy_core::parser::Loc::start);
                let span = (start, first_line_length(text, start)).into();
                self.faults
                    .push(Fault::at(file, text, span, message).with_hint(hint));
                false
            }
        }
    }

    fn share_access(&mut self, template: &mut Template) {
        let access = &template.access;
        let shared = self
            .accesses
            .entry(Arc::clone(access))
            .or_insert_with(|| Arc::clone(access));
        template.access = Arc::clone(shared);
    }

    fn validate(&mut self, schema: &Schema) {
        let mut set = ast::PolicySet::new();
        let mut infos = HashMap::new();
        for policy in &self.policies {
            infos.insert(policy.cedar.id().clone(), Arc::clone(&policy.info));
            // Ids were claimed before, so adding cannot fail.
            set.add(policy.cedar.clone()).ok();
        }
        for template in self.templates.values() {
            infos.insert(template.cedar.id().clone(), Arc::clone(&template.info));
            set.add_template(ast::Template::clone(&template.cedar)).ok();
        }
        let result =
            Validator::new(schema.validator().clone()).validate(&set, ValidationMode::Strict);
        let result = cedar_policy::ValidationResult::from(result);
        let errors = result.validation_errors().map(|error| {
            let fault = self.validation_fault(infos.get(error.policy_id().as_ref()), error);
            match hint_of(schema, error) {
                Some(hint) => fault.with_hint(hint),
                None => fault,
            }
        });
        let errors = in_order(errors.collect());
        let warnings = result.validation_warnings().map(|warning| {
            let fault = self.validation_fault(infos.get(warning.policy_id().as_ref()), warning);
            fault.as_warning()
        });
        let warnings = in_order(warnings.collect());
        self.faults.extend(errors);
        self.warnings.extend(warnings);
    }

    fn validation_fault(
        &self,
        info: Option<&Arc<PolicyInfo>>,
        diagnostic: &dyn Diagnostic,
    ) -> Fault {
        let Some(info) = info else {
            return Fault::of_file(".", diagnostic.to_string());
        };
        match self.sources.get(&info.file) {
            Some(source) => Fault::from_cedar(&info.file, source, diagnostic),
            None => Fault::of_file(&info.file, diagnostic.to_string()),
        }
    }

    /// A syntax error of one file, and those that Cedar reports along with it.
    fn report(&mut self, file: &str, text: &Arc<str>, error: &dyn Diagnostic) {
        let related = error.related().into_iter().flatten();
        for error in std::iter::once(error).chain(related) {
            let mut fault = Fault::from_cedar(file, text, error);
            fault
                .hint
                .get_or_insert_with(|| "is something missing here, or just before?".to_owned());
            self.faults.push(fault);
        }
    }
}

/// Of several names that are equally close, Cedar takes one by chance.
fn hint_of(schema: &Schema, error: &ValidationError) -> Option<String> {
    let message = error.to_string();
    let written = quoted(&message).last()?;
    let actions: Vec<String>;
    let meant = match error {
        ValidationError::UnrecognizedEntityType(_) => closest(written, schema.type_names()),
        ValidationError::UnrecognizedActionId(_) => {
            let declared = schema.actions();
            actions = declared.map(|action| action.uid.to_string()).collect();
            closest(written, actions.iter().map(String::as_str))
        }
        _ => return None,
    };
    Some(meant.map_or_else(
        || "see what the schema declares".to_owned(),
        |meant| format!("did you mean `{meant}`?"),
    ))
}

/// Cedar's validator tells what it finds in an order of chance.
fn in_order(mut faults: Vec<Fault>) -> Vec<Fault> {
    faults.sort_by(|a, b| {
        let key = |fault: &Fault| (fault.line, fault.column);
        let place = a.file.cmp(&b.file).then_with(|| key(a).cmp(&key(b)));
        place
            .then_with(|| a.message.cmp(&b.message))
            .then_with(|| a.hint.cmp(&b.hint))
    });
    faults
}

/// Cedar calls the policies of a text `policy0`, `policy1`, in order.
fn ordinal(id: &PolicyID) -> usize {
    let id: &str = id.as_ref();
    id.trim_start_matches("policy").parse().unwrap_or(0)
}

fn first_line_length(text: &str, start: usize) -> usize {
    text.get(start..)
        .and_then(|rest| rest.lines().next())
        .map_or(0, str::len)
}

#[cfg(test)]
mod tests {
    use super::Fault;
    use super::in_order;

    #[test]
    fn faults_of_one_place_have_an_order() {
        let fault = |file: &str, line: usize, message: &str| {
            let mut fault = Fault::of_file(file, message).with_hint("mend it");
            fault.line = line;
            fault
        };
        let wanted = [("a", 1, "x"), ("a", 1, "y"), ("a", 2, "x"), ("b", 1, "a")];
        let wanted = wanted.map(|(file, line, message)| fault(file, line, message));
        for first in 0..wanted.len() {
            let mut faults = wanted.to_vec();
            faults.rotate_left(first);
            faults.reverse();
            let shown = |faults: &[Fault]| format!("{faults:?}");
            assert_eq!(shown(&in_order(faults)), shown(&wanted));
        }
    }
}
