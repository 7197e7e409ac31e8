"""Reads a report from standard input, as its format says, and prints what is in it as JSON.

read.py html: by html5lib, which refuses what is no valid HTML.
read.py trace: by OpenTelemetry's own classes, which refuse what is no OTLP.
"""

import base64
import json
import sys


def read_html(page):
    import html5lib

    document = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)

    def name(element):
        return str(element.tag).split("}")[-1]

    def text(element):
        return "".join(element.itertext())

    def of_class(tag, wanted):
        return [it for it in document.iter(tag) if wanted in it.get("class", "").split()]

    elements = [element for element in document.iter() if isinstance(element.tag, str)]
    sections = {}
    for section in document.iter("section"):
        rows = [[text(cell) for cell in row.iter("td")] for row in section.iter("tr")]
        sections[text(section.find("h2"))] = [row for row in rows if row]
    lanes = []
    for lane in of_class("details", "lane"):
        bars = [it for it in lane.find("summary").iter() if name(it) == "rect"]
        own = [text(row.find("span")) for row in lane.iter("div") if "host" in row.get("class", "").split()]
        listed = [text(item) for names in lane.iter("ul") if names.get("class") == "names" for item in names]
        lanes.append({
            "name": text(lane.find("summary").find("span")).strip(),
            "bars": [it.get("class") for it in bars],
            "own": own,
            "listed": listed,
        })
    return {
        "elements": sorted({name(element) for element in elements}),
        "attributes": sorted({key for element in elements for key in element.attrib}),
        "policy": [it.get("content") for it in document.iter("meta") if "Security" in it.get("http-equiv", "")],
        "title": text(document.find("head/title")),
        "badge": [text(it) for it in of_class("span", "badge")],
        "notes": [text(it) for it in of_class("p", "note")],
        "message": [text(it) for it in of_class("p", "message")],
        "failures": [text(it.find("h3")) for it in of_class("article", "failure")],
        "reasons": [text(it) for it in of_class("p", "reason")],
        "outputs": [text(it) for it in document.iter("pre")],
        "marks": sorted({it.get("class") for it in elements if name(it) == "circle"}),
        "gaps": len([it for it in elements if name(it) == "rect" and it.get("class") == "gap"]),
        "sections": sections,
        "lanes": lanes,
    }


def read_trace(text):
    from google.protobuf import json_format
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    def ids_in_base64(span):
        # OTLP has ids in hexadecimal, where protobuf's JSON has bytes in base64.
        for key in ("traceId", "spanId", "parentSpanId"):
            if key in span:
                span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
        return span

    request = json.loads(text)
    for resource in request["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            scope["spans"] = [ids_in_base64(span) for span in scope["spans"]]
    read = json_format.Parse(json.dumps(request), ExportTraceServiceRequest())
    spans = [span for resource in read.resource_spans for scope in resource.scope_spans for span in scope.spans]
    ids = [span.span_id for span in spans]
    assert len(set(ids)) == len(ids), "two spans have one id"
    assert all(len(span.span_id) == 8 and len(span.trace_id) == 16 for span in spans)
    assert len({span.trace_id for span in spans}) == 1
    assert [span.parent_span_id for span in spans].count(b"") == 1, "there is one root"
    assert all(span.parent_span_id in ids for span in spans if span.parent_span_id)
    assert all(0 < span.start_time_unix_nano <= span.end_time_unix_nano for span in spans)
    names = {span.span_id: span.name for span in spans}
    return [
        {
            "name": span.name,
            "parent": names.get(span.parent_span_id),
            "status": span.status.code,
            "message": span.status.message,
            "events": [event.name for event in span.events],
            "attributes": {
                it.key: getattr(it.value, it.value.WhichOneof("value")) for it in span.attributes
            },
        }
        for span in spans
    ]


if __name__ == "__main__":
    data = sys.stdin.buffer.read()
    print(json.dumps({"html": read_html, "trace": read_trace}[sys.argv[1]](data)))
