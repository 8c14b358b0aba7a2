"""A convolutional network from data to predictions: train, save, load, predict."""

import fastnn as fn

(x, y), (x_test, y_test) = fn.datasets.load_digits()  # images (N, 8, 8, 1) in 0..1, labels (N,)

model = fn.Sequential(
    [
        fn.Conv2D(1, 16, 3, padding="same", activation="relu"),
        fn.MaxPool2D(2),
        fn.Flatten(),
        fn.Dense(None, 64, activation="relu"),
        fn.Dropout(0.2),
        fn.Dense(None, 10),  # logits: the loss applies softmax
    ],
    input_shape=x.shape[1:],
    seed=0,
)
model.summary()
model.compile(optimizer=fn.Adam(fn.schedules.OneCycle(0.01)), loss=fn.SoftmaxCrossEntropy())
model.fit(x, y, epochs=10, batch_size=32, validation_split=0.1)
model.save("digits.safetensors")

model = fn.load("digits.safetensors")
loss, accuracy = model.evaluate(x_test, y_test)
print(f"loss {loss:.4f}, accuracy {accuracy:.4f}")
for image, truth in zip(x_test[:3], y_test[:3], strict=True):
    probabilities = model.predict_proba(image[None])[0]  # one image is a batch of one
    print(f"a {truth} is taken for a {probabilities.argmax()} ({probabilities.max():.1%})")
