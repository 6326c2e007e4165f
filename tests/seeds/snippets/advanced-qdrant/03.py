from qdrant_client.models import Filter, FieldCondition, MatchValue, Range, MatchAny

query_filter = Filter(
    must=[
        FieldCondition(
            key="tenant_id",
            match=MatchValue(value="lawfirm_acme")
        ),
        FieldCondition(
            key="created_at",
            range=Range(gte=1672531200)  # Jan 1, 2023
        )
    ],
    should=[
        FieldCondition(
            key="jurisdiction",
            match=MatchValue(value="federal")
        ),
        FieldCondition(
            key="jurisdiction",
            match=MatchValue(value="state")
        )
    ],
    must_not=[
        FieldCondition(
            key="is_headnote",
            match=MatchValue(value=True)
        )
    ]
)
