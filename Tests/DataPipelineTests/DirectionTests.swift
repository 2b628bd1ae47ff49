import Testing

@testable import DataPipeline

@Suite struct DirectionTests {
    @Test(arguments: [
        ("eng-cat", "eng", "cat"), ("EN-DE", "EN", "DE"), ("eng_Latn-zho_Hans", "eng_Latn", "zho_Hans"),
        ("en-zh_CN", "en", "zh_CN"), ("en-pt-BR", "en", "pt-BR"), ("pt-BR-en", "pt-BR", "en"),
        ("en-US-pt-BR", "en-US", "pt-BR"), ("en-sr-Latn", "en", "sr-Latn"), ("sr-Latn-en", "sr-Latn", "en"),
        ("sr-Latn-RS-zh-Hans", "sr-Latn-RS", "zh-Hans"), ("es-419-en", "es-419", "en"),
        ("ca-valencia-en", "ca-valencia", "en"), ("de-1996-en", "de-1996", "en"),
        ("en--pt-br", "en", "pt-br"), ("pt-br--en", "pt-br", "en"), ("a-b--c-d", "a-b", "c-d"), ("en--de", "en", "de"),
    ]) func languagesAreToldApart(text: String, source: String, target: String) {
        #expect(Direction(text) == Direction(source: source, target: target))
    }

    @Test(arguments: [
        "", "en", "-", "en-", "-de", "en-en", "en--en", "en-pt-br", "a-b-c", "abcde-fghij-klmno", "en-d e", "en-de-", "en---de",
        "en-pt@latin", "en--de--fr", "é-de",
    ]) func whatIsNoDirectionOrSeveral(text: String) {
        #expect(Direction(text) == nil)
    }

    @Test func aDirectionIsReadBackAsItIsWritten() {
        let codes = ["en", "pt-BR", "pt-br", "sr-Latn", "zh_CN", "a", "b", "a-b", "abcde-fghij", "fghij", "BR"]
        for source in codes {
            for target in codes where source != target {
                let direction = Direction(source: source, target: target)
                #expect(Direction(direction.description) == direction, "\(direction)")
            }
        }
        #expect(Direction(source: "en", target: "pt-BR").description == "en-pt-BR")
        #expect(Direction(source: "en", target: "pt-br").description == "en--pt-br")
    }
}
