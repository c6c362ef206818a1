//! A reader for the part of XML that seL4's interface files use.
//!
//! Elements, attributes in either quote, self-closing tags, comments, declarations and processing
//! instructions. Text between elements is skipped: nothing of interest stands there. The five
//! predefined entities are replaced in attribute values; other entities are kept as written.

/// An element with its attributes and child elements, in document order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) line: usize,
    attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// The value of an attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The direct children with a name.
    pub(crate) fn children_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Every descendant with a name, in document order.
    pub(crate) fn descendants<'a>(&'a self, name: &str) -> Vec<&'a Element> {
        let mut found = Vec::new();
        self.collect(name, &mut found);
        found
    }

    fn collect<'a>(&'a self, name: &str, found: &mut Vec<&'a Element>) {
        for child in &self.children {
            if child.name == name {
                found.push(child);
            }
            child.collect(name, found);
        }
    }
}

/// A place and a reason why a text is not the XML we read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct XmlError {
    pub(crate) line: usize,
    pub(crate) problem: String,
}

/// Parses a document and returns its root element.
pub(crate) fn parse(text: &str) -> Result<Element, XmlError> {
    let mut reader = Reader { text, at: 0 };
    // `open` holds the elements whose end tag has not come yet; the first is a stand-in for the
    // document, so that the root element has a parent like every other.
    let mut open = vec![Element { line: 1, ..Element::default() }];
    while let Some(tag) = reader.next_tag()? {
        match tag {
            Tag::Open(element) => open.push(element),
            Tag::Empty(element) => add_child(&mut open, element),
            Tag::Close(name) => {
                let element = open.pop().filter(|element| element.name == name);
                let Some(element) = element.filter(|_| !open.is_empty()) else {
                    return Err(reader.error(format!("</{name}> closes nothing")));
                };
                add_child(&mut open, element);
            }
        }
    }
    let mut document = open.swap_remove(0);
    if open.len() > 1 || document.children.len() != 1 {
        return Err(reader.error("the document does not have exactly one complete root element"));
    }
    Ok(document.children.swap_remove(0))
}

fn add_child(open: &mut [Element], element: Element) {
    if let Some(parent) = open.last_mut() {
        parent.children.push(element);
    }
}

enum Tag {
    Open(Element),
    Empty(Element),
    Close(String),
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn line(&self) -> usize {
        self.text[..self.at].matches('\n').count() + 1
    }

    fn error(&self, problem: impl Into<String>) -> XmlError {
        XmlError { line: self.line(), problem: problem.into() }
    }

    /// Skips text, comments and declarations up to the next tag.
    fn next_tag(&mut self) -> Result<Option<Tag>, XmlError> {
        loop {
            let Some(offset) = self.rest().find('<') else {
                self.at = self.text.len();
                return Ok(None);
            };
            self.at += offset;
            if self.rest().starts_with("<!--") {
                self.skip_past("-->", "comment")?;
            } else if self.rest().starts_with("<?") {
                self.skip_past("?>", "processing instruction")?;
            } else if self.rest().starts_with("<!") {
                self.skip_past(">", "declaration")?;
            } else {
                return self.tag().map(Some);
            }
        }
    }

    fn skip_past(&mut self, end: &str, what: &str) -> Result<(), XmlError> {
        let Some(offset) = self.rest().find(end) else {
            return Err(self.error(format!("this {what} has no end")));
        };
        self.at += offset + end.len();
        Ok(())
    }

    fn tag(&mut self) -> Result<Tag, XmlError> {
        let line = self.line();
        self.at += 1;
        if self.take("/") {
            let name = self.name()?;
            self.skip_space();
            self.expect(">")?;
            return Ok(Tag::Close(name));
        }
        let mut element = Element { name: self.name()?, line, ..Element::default() };
        loop {
            self.skip_space();
            if self.take("/>") {
                return Ok(Tag::Empty(element));
            }
            if self.take(">") {
                return Ok(Tag::Open(element));
            }
            let attribute = self.attribute()?;
            element.attributes.push(attribute);
        }
    }

    fn attribute(&mut self) -> Result<(String, String), XmlError> {
        let name = self.name()?;
        self.skip_space();
        self.expect("=")?;
        self.skip_space();
        let quote = if self.take("\"") {
            '"'
        } else if self.take("'") {
            '\''
        } else {
            return Err(self.error(format!("the value of {name} is not quoted")));
        };
        let Some(length) = self.rest().find(quote) else {
            return Err(self.error(format!("the value of {name} has no closing quote")));
        };
        let value = replace_entities(&self.rest()[..length]);
        self.at += length + 1;
        Ok((name, value))
    }

    fn name(&mut self) -> Result<String, XmlError> {
        let is_end = |c: char| c.is_whitespace() || "=/><\"'".contains(c);
        let length = self.rest().find(is_end).unwrap_or(self.rest().len());
        if length == 0 {
            return Err(self.error("a name is missing"));
        }
        let name = self.rest()[..length].to_owned();
        self.at += length;
        Ok(name)
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), XmlError> {
        if self.take(token) { Ok(()) } else { Err(self.error(format!("'{token}' is missing"))) }
    }
}

fn replace_entities(value: &str) -> String {
    // `&amp;` comes last, or `&amp;lt;` would be replaced twice.
    value
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_nesting_attributes_and_comments() {
        let text = "<?xml version=\"1.0\" ?>\n<!-- <method/> -->\n<api name='a'>\n text <method id=\"X\" \
                    condition=\"A &gt; 1\">\n<param/></method><method id=\"Y\"/></api>\n";
        let root = parse(text).unwrap();
        assert_eq!((root.name.as_str(), root.attribute("name")), ("api", Some("a")));
        let methods = root.descendants("method");
        assert_eq!(methods.len(), 2);
        assert_eq!(methods[0].attribute("condition"), Some("A > 1"));
        assert_eq!(methods[0].line, 4);
        assert_eq!(methods[0].children_named("param").count(), 1);
        assert_eq!(methods[1].attribute("id"), Some("Y"));
        assert_eq!(methods[1].attribute("condition"), None);
    }

    #[test]
    fn escaped_ampersand_is_replaced_once() {
        assert_eq!(replace_entities("a &amp;lt; b"), "a &lt; b");
    }

    #[test]
    fn names_the_line_of_what_is_broken() {
        for (text, line) in [
            ("<a>\n<b></a>", 2),
            ("<a>\n\n<b x=1/></a>", 3),
            ("<a>\n<!-- ", 2),
            ("<a x=\"\n", 1),
            ("<a/><b/>", 1),
            ("</a>", 1),
            ("<a>", 1),
            ("", 1),
            ("<a>\n< b/></a>", 2),
        ] {
            assert_eq!(parse(text).map_err(|error| error.line), Err(line), "{text:?}");
        }
    }
}
