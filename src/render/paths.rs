//! Every path in a template is looked up, also where the template would not go this time:
//! handlebars takes a misspelt path inside `{{#if}}` for false.

use handlebars::Handlebars;
use handlebars::template::{HelperTemplate, Parameter, Template, TemplateElement};
use serde_json::Value;

use super::error::RenderError;

/// Partials do not nest deeper; a loop of partials ends here.
const DEEPEST_PARTIAL: usize = 4;

/// Holds a template and its partials against the values that they will be filled with.
pub(super) fn check(
    registry: &Handlebars<'_>,
    name: &str,
    context: &Value,
) -> Result<(), RenderError> {
    let checker = Checker { registry, context };
    checker.named(name, 0)
}

struct Checker<'a> {
    registry: &'a Handlebars<'a>,
    context: &'a Value,
}

/// A line and what is wrong there.
type Wrong = (usize, String);

impl Checker<'_> {
    fn named(&self, name: &str, depth: usize) -> Result<(), RenderError> {
        let error = |(line, reason): Wrong| RenderError::Template {
            template: name.to_owned(),
            line,
            reason,
        };
        let Some(template) = self.registry.get_template(name) else {
            return Err(error((1, "there is no such template".to_owned())));
        };
        let mut partials = Vec::new();
        self.elements(template, &mut partials).map_err(error)?;
        for (line, partial) in partials {
            if depth >= DEEPEST_PARTIAL || self.registry.get_template(&partial).is_none() {
                return Err(error((line, format!("there is no partial `{partial}`"))));
            }
            self.named(&partial, depth + 1)?;
        }
        Ok(())
    }

    fn elements(
        &self,
        template: &Template,
        partials: &mut Vec<(usize, String)>,
    ) -> Result<(), Wrong> {
        for (index, element) in template.elements.iter().enumerate() {
            let line = template.mapping.get(index).map_or(0, |mapping| mapping.0);
            match element {
                TemplateElement::RawString(_) | TemplateElement::Comment(_) => {}
                TemplateElement::Expression(helper) => self.expression(helper, line)?,
                TemplateElement::HelperBlock(block) => self.block(block, line, partials)?,
                TemplateElement::PartialExpression(partial)
                    if partial.params.is_empty() && partial.hash.is_empty() =>
                {
                    let name = partial.name.as_name().unwrap_or_default();
                    partials.push((line, name.to_owned()));
                }
                _ => {
                    let reason = "only {{json …}}, {{#if …}}, {{#unless …}} and {{> partial}}";
                    return Err((line, format!("{reason} can be checked")));
                }
            }
        }
        Ok(())
    }

    fn expression(&self, helper: &HelperTemplate, line: usize) -> Result<(), Wrong> {
        let name = helper.name.as_name().unwrap_or_default();
        if name != "json" {
            let reason = format!("`{name}` has to be written as {{{{json {name}}}}}");
            return Err((line, reason));
        }
        self.parameters(helper, line)
    }

    fn block(
        &self,
        block: &HelperTemplate,
        line: usize,
        partials: &mut Vec<(usize, String)>,
    ) -> Result<(), Wrong> {
        let name = block.name.as_name().unwrap_or_default();
        if !matches!(name, "if" | "unless") {
            return Err((line, format!("the block `{name}` cannot be checked")));
        }
        self.parameters(block, line)?;
        for part in [&block.template, &block.inverse].into_iter().flatten() {
            self.elements(part, partials)?;
        }
        Ok(())
    }

    fn parameters(&self, helper: &HelperTemplate, line: usize) -> Result<(), Wrong> {
        let [Parameter::Path(_) | Parameter::Name(_)] = helper.params.as_slice() else {
            return Err((line, "one path is expected".to_owned()));
        };
        let path = helper.params[0].as_name().unwrap_or_default();
        let found = path
            .split('.')
            .try_fold(self.context, |value, key| value.get(key));
        match found {
            Some(_) => Ok(()),
            None => Err((line, format!("there is no value `{path}`"))),
        }
    }
}
