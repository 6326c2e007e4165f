from langchain.chains import RetrievalQA
from langchain_openai import ChatOpenAI

llm = ChatOpenAI(model="gpt-4o", temperature=0)
qa_chain = RetrievalQA.from_chain_type(
    llm=llm,
    retriever=retriever,
    return_source_documents=True  # Critical for citation tracing
)

response = qa_chain.invoke({"query": "What is our refund policy?"})
print(response["result"])
print(response["source_documents"])  # Trace which chunks were used
