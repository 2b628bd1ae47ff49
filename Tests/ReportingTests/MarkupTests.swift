import Testing

@testable import Reporting

@Suite struct MarkupTests {
    @Test func textAndAttributesAreEscaped() {
        let markup = Markup.element("p", ["title": "a\"b<c>&'"], ["<script>alert(1)</script> & more"])
        #expect(
            markup.rendered
                == "<p title=\"a&quot;b&lt;c&gt;&amp;'\">&lt;script&gt;alert(1)&lt;/script&gt; &amp; more</p>\n")
    }

    @Test func whatXMLCannotSayIsReplaced() {
        #expect(Markup.text("a\u{0}b\u{1B}[31mc\u{FFFE}\r\nd").rendered == "a\u{FFFD}b\u{FFFD}[31mc\u{FFFD}\u{FFFD}\nd")
    }

    @Test func emptyElementsCloseAsHTMLWants() {
        #expect(Markup.element("td").rendered == "<td></td>")
        #expect(Markup.element("meta", ["charset": "utf-8"]).rendered == "<meta charset=\"utf-8\"/>\n")
        #expect(Markup.rectangle(x: 1, y: 2, width: 3, height: 4, "bar").rendered.hasSuffix("height=\"4\"/>"))
        #expect(
            Markup.rectangle(x: 1, y: 2, width: 3, height: 4, "bar", tooltip: "a < b").rendered.hasSuffix(
                "height=\"4\"><title>a &lt; b</title></rect>"))
    }
}
