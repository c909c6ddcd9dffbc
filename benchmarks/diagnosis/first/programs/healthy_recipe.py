import chainrule as cr

model, data, loss, optimizer, settings = cr.models.digits_classifier(seed=3)
finished = cr.train.fit(model, data, loss, optimizer, **{**settings, "epochs": 3})
print(finished.test_accuracy)
